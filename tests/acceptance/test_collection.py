"""Flows are found, named, selected, marked and distributed as pytest users know it from Python tests."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Workbench

PASS = "steps: [{action: t.note, config: {say: passed}}]"
FAIL = "steps: [{action: t.note, config: {say: failed}, assert: [1 == 2]}]"


def _named(mesh: Workbench, file: str, name: str, body: str = PASS) -> None:
    mesh.file(
        f"{file}.yaml", f"flow:\n  name: {json.dumps(name, ensure_ascii=False)}\n" + textwrap.indent(body, "  ") + "\n"
    )


def _collected(mesh: Workbench, *args: str) -> list[str]:
    """The node ids that ``--collect-only -q`` prints."""
    text = mesh.run("--collect-only", "-q", *args).text
    return [line for line in text.splitlines() if "::" in line]


# --- recognition --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_a_flow_file_is_known_by_its_content(mesh: Workbench, suffix: str) -> None:
    mesh.file(f"orders.{suffix}", "# a comment\n---\nflow:\n  steps: [{action: t.note}]\n  name: pay\n")

    assert [f"orders.{suffix}::pay"] == _collected(mesh)


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  web: {image: nginx}\n",
        "flow: a text\n",
        "flow: [1, 2]\n",
        "flow:\n  direction: north\n",
        "flow:\n",
        "meta:\n  flow:\n    name: inner\n    steps: []\n",
        "text: |\n  flow:\n    name: inner\n",
        "# flow:\n#   name: commented\na: 1\n",
        "flows:\n  name: x\n  steps: []\n",
        "- flow\n- steps\n",
        "{{ range .Values }}\nkey: [\n",
        "",
        "\x00\x01\x02",
    ],
    ids=[
        "compose", "text", "list", "other-mapping", "null", "nested", "block-text", "comment", "plural",
        "sequence", "template", "empty", "binary",
    ],
)  # fmt: skip
def test_yaml_of_other_tools_is_left_alone(mesh: Workbench, text: str) -> None:
    mesh.file("other.yaml", text)
    mesh.flow("mine", PASS)

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert "warning" not in run.text


def test_a_byte_order_mark_and_windows_line_ends_do_not_hide_a_flow(mesh: Workbench) -> None:
    mesh.file("orders.yaml", b"\xef\xbb\xbfflow:\r\n  name: pay\r\n  steps:\r\n    - action: t.note\r\n")

    assert {"passed": 1} == mesh.run().outcomes


def test_the_ini_testmesh_files_narrows_the_patterns(mesh: Workbench) -> None:
    mesh.pytester.makeini("[pytest]\ntestmesh_files = *.flow.yaml\n")
    mesh.flow("one.flow", PASS)
    mesh.flow("two", PASS)

    assert ["one.flow.yaml::one.flow"] == _collected(mesh)


def test_flows_and_python_tests_run_side_by_side(mesh: Workbench) -> None:
    mesh.flow("orders", PASS)
    mesh.file("test_orders.py", "def test_pay():\n    pass\n")

    assert {"passed": 2} == mesh.run().outcomes


# --- ids and selection --------------------------------------------------------------------------------------


def test_the_node_id_is_the_file_and_the_name_of_the_flow(mesh: Workbench) -> None:
    _named(mesh, "flows/checkout", "Product Price Check")

    assert ["flows/checkout.yaml::Product Price Check"] == _collected(mesh)
    assert ["flows/checkout.yaml::Product Price Check"] == _collected(mesh, "flows")
    assert ["flows/checkout.yaml::Product Price Check"] == _collected(mesh, "flows/checkout.yaml")


def test_collect_only_shows_the_tree_and_the_description(mesh: Workbench) -> None:
    mesh.flow("orders", f"description: Pays one order.\n{PASS}")

    run = mesh.run("--collect-only", "-v")

    assert 0 == run.exit_code
    assert "orders.yaml" in run.text
    assert "Pays one order." in run.text
    assert [] == mesh.journal


NAMES = [
    "two words",
    "with [brackets]",
    "]x[",
    "größe-日本",
    "a/b",
    "me@home",
    "back\\slash",
    "it's",
    "v1.2",
    "x" * 255,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_can_be_selected_by_its_node_id(mesh: Workbench, name: str) -> None:
    _named(mesh, "one", name)
    _named(mesh, "two", name + "!" if len(name) < 255 else "y")

    run = mesh.run(f"one.yaml::{name}")

    assert {"passed": 1} == run.outcomes
    assert f"one.yaml::{name}" == run.reports[0].nodeid


def test_an_unknown_node_id_is_not_found(mesh: Workbench) -> None:
    mesh.flow("orders", PASS)

    run = mesh.run("orders.yaml::nothing")

    assert 4 == run.exit_code
    assert "not found" in run.text + run.errors


@pytest.mark.parametrize(
    ("args", "selected"),
    [
        (("-k", "pay"), ["pay"]),
        (("-k", "not pay"), ["ship"]),
        (("-k", "stamp"), ["ship"]),
        (("-k", "parcel"), ["ship"]),
        (("-k", "smoke"), ["pay"]),
        (("-m", "smoke"), ["pay"]),
        (("-m", "smoke or slow"), ["pay", "ship"]),
        (("-m", "not smoke"), ["ship"]),
    ],
    ids=["name", "not-name", "step-id", "step-name", "tag-as-keyword", "tag", "mark", "not-tag"],
)
def test_flows_are_selected_by_name_step_tag_and_mark(
    mesh: Workbench, args: tuple[str, ...], selected: list[str]
) -> None:
    mesh.pytester.makeini("[pytest]\naddopts = --strict-markers\nmarkers = slow: takes long\n")
    mesh.flow("pay", f"tags: [smoke, critical]\n{PASS}")
    mesh.flow("ship", "marks: [slow]\nsteps: [{id: stamp, name: Close the parcel, action: t.note}]")

    assert [f"{name}.yaml::{name}" for name in selected] == _collected(mesh, *args)


def test_the_tag_of_a_step_is_a_keyword(mesh: Workbench) -> None:
    mesh.flow("pay", PASS)
    mesh.flow("ship", "steps: [{action: t.note, tags: [fragile]}]")

    assert ["ship.yaml::ship"] == _collected(mesh, "-k", "fragile")


@pytest.mark.parametrize("args", [("--strict-markers",), ("-W", "error")], ids=["strict markers", "warnings as errors"])
def test_an_unregistered_mark_is_a_failing_item(mesh: Workbench, args: tuple[str, ...]) -> None:
    mesh.flow("pay", f"marks: [slwo]\n{PASS}")
    mesh.flow("ship", PASS)

    run = mesh.run(*args)

    assert 1 == run.outcomes["passed"]
    assert ("pay.yaml", 3) == mesh.place(run.cause)[:2]
    assert "slwo" in run.cause


def test_the_warning_of_an_unregistered_mark_names_its_line(mesh: Workbench) -> None:
    mesh.flow("pay", f"marks: [slwo]\n{PASS}")

    run = mesh.run("-W", "default::pytest.PytestUnknownMarkWarning")

    assert {"passed": 1, "warnings": 1} == run.outcomes
    assert "pay.yaml:3: PytestUnknownMarkWarning: Unknown pytest.mark.slwo" in run.text


def test_flows_of_one_name_in_one_folder_are_fine(mesh: Workbench) -> None:
    _named(mesh, "one", "pay")
    _named(mesh, "two", "pay")

    run = mesh.run()

    assert {"passed": 2} == run.outcomes
    assert ["one.yaml::pay", "two.yaml::pay"] == sorted({report.nodeid for report in run.reports})


def test_a_file_named_twice_runs_as_often_as_a_python_file_does(mesh: Workbench) -> None:
    mesh.flow("orders", PASS)
    mesh.file("test_plain.py", "def test_plain(): pass")

    plain = mesh.run("test_plain.py", "test_plain.py").outcomes

    assert plain == mesh.run("orders.yaml", "orders.yaml").outcomes  # once, but twice before pytest 8.4


def test_the_order_is_that_of_the_files(mesh: Workbench) -> None:
    for name in ("c", "a", "b"):
        mesh.flow(name, PASS)

    assert ["a.yaml::a", "b.yaml::b", "c.yaml::c"] == _collected(mesh)


def test_a_broken_file_stays_in_the_tree_under_the_name_of_the_file(mesh: Workbench) -> None:
    mesh.file("broken.yaml", "flow:\n  name: [\n")

    (nodeid,) = _collected(mesh)

    assert nodeid.startswith("broken.yaml::")
    assert {"errors": 1} == mesh.run(nodeid).outcomes


# --- after a failure ----------------------------------------------------------------------------------------


def _suite_of_brackets(mesh: Workbench) -> None:
    for file, name, body in (
        ("a", "orders [eu]", PASS),
        ("b", "orders [us]", FAIL),
        ("c", "plain", PASS),
        ("d", "]x[ ü", FAIL),
    ):
        _named(mesh, file, name, body)


def test_last_failed_runs_exactly_the_failed_flows(mesh: Workbench) -> None:
    _suite_of_brackets(mesh)
    mesh.run(cache=True)

    run = mesh.run("--lf", cache=True)

    assert {"failed": 2} == run.outcomes


def test_failed_first_runs_the_failed_flows_first(mesh: Workbench) -> None:
    _suite_of_brackets(mesh)
    mesh.run(cache=True)
    mesh.forget()

    run = mesh.run("--ff", cache=True)

    assert {"failed": 2, "passed": 2} == run.outcomes
    assert ["failed", "failed", "passed", "passed"] == mesh.journal


def test_stepwise_resumes_at_the_flow_that_failed(mesh: Workbench) -> None:
    _suite_of_brackets(mesh)
    mesh.run("--sw", cache=True)
    mesh.file("b.yaml", (mesh.path / "b.yaml").read_text(encoding="utf-8").replace("1 == 2", "1 == 1"))
    mesh.forget()

    run = mesh.run("--sw", cache=True)

    assert {"passed": 2, "failed": 1} == run.outcomes


def test_x_stops_after_the_first_flow_that_failed(mesh: Workbench) -> None:
    _suite_of_brackets(mesh)

    assert {"passed": 1, "failed": 1} == mesh.run("-x").outcomes


def test_a_rerun_runs_the_whole_flow_again_with_fresh_fixtures(mesh: Workbench) -> None:
    pytest.importorskip("pytest_rerunfailures")
    mesh.flow(
        "orders",
        """
        fixtures: [house]
        setup: [{action: t.note, config: {say: setup}}]
        steps:
          - {id: create, action: t.note, config: {say: create, id: "${EXECUTION_ID}"}}
          - {action: t.script, config: {say: pay, answers: [broken, {n: 1}]}}
        teardown: [{action: t.note, config: {say: teardown}}]
        """,
    )

    run = mesh.run("--reruns", "1")

    assert {"passed": 1, "rerun": 1} == run.outcomes
    assert ["fixture up", "setup", "create", "pay", "teardown", "fixture down"] * 2 == mesh.journal


# --- fixtures -----------------------------------------------------------------------------------------------


AUTOUSE = """
import pathlib
import pytest

def write(word):
    path = pathlib.Path(__file__).parents[1] / "journal.jsonl"
    with path.open("a") as journal:
        journal.write(f'"{word}"\\n')
"""


@pytest.mark.parametrize("scope", ["session", "package", "module", "class", "function"])
def test_autouse_fixtures_of_every_scope_run_around_flows(mesh: Workbench, scope: str) -> None:
    fixture = f"""
@pytest.fixture(scope="{scope}", autouse=True)
def compose():
    write("compose up")
    yield
    write("compose down")
"""
    mesh.file("sub/conftest.py", AUTOUSE + fixture)
    mesh.flow("sub/a", PASS)
    mesh.flow("sub/b", PASS)

    run = mesh.run()

    flow = ["compose up", "passed", "compose down"]
    assert {"passed": 2} == run.outcomes
    assert (
        ["compose up", "passed", "passed", "compose down"]
        if scope in ("session", "package")
        else flow * 2 == mesh.journal
    )


def test_usefixtures_and_the_fixtures_key_request_fixtures(mesh: Workbench) -> None:
    mesh.flow("one", f"marks: [{{usefixtures: house}}]\n{PASS}")
    mesh.flow("two", f"fixtures: [house]\n{PASS}")

    run = mesh.run()

    assert {"passed": 2} == run.outcomes
    assert ["fixture up", "passed", "fixture down"] * 2 == mesh.journal


def test_attributes_and_keys_of_a_fixture_are_values(mesh: Workbench) -> None:
    mesh.file(
        "sub/conftest.py",
        """
        import pytest

        class Server:
            url = "http://x"
            ports = [80, 443]
            options = {"deep": {"er": 1}}

        @pytest.fixture
        def live_server():
            return Server()

        @pytest.fixture
        def number():
            return 7
        """,
    )
    mesh.flow(
        "sub/orders",
        """
        fixtures: [live_server, house, number]
        steps:
          - action: t.note
            config:
              say:
                - "${fixtures.live_server.url}/a"
                - "${fixtures.live_server.ports}"
                - "${fixtures.live_server.options.deep.er}"
                - "${fixtures.house.address.street}"
                - "${fixtures.number}"
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["http://x/a", [80, 443], 1, "Main", 7] == mesh.journal[1]


@pytest.mark.parametrize(
    "reference",
    [
        "fixtures.server._secret",
        "fixtures.server.__class__",
        "fixtures.server.start()",
        "fixtures.server",
        "fixtures.other.x",
    ],
    ids=["private", "dunder", "call", "not-JSON", "not-requested"],
)  # fmt: skip
def test_a_fixture_gives_only_public_json_values(mesh: Workbench, reference: str) -> None:
    mesh.file(
        "sub/conftest.py",
        """
        import pathlib
        import pytest

        class Server:
            _secret = "s"

            def start(self):
                pathlib.Path("started").touch()
                return "started"

        @pytest.fixture
        def server():
            return Server()
        """,
    )
    mesh.flow("sub/orders", f'fixtures: [server]\nsteps: [{{action: t.note, config: {{say: "${{{reference}}}"}}}}]')

    run = mesh.run()

    assert 0 == run.outcomes.get("passed", 0)
    assert "fixtures" in run.problem or "server" in run.problem
    assert "orders.yaml" == mesh.place(run.cause)[0]
    assert [] == mesh.journal
    assert not (mesh.path / "started").exists()


@pytest.mark.parametrize(
    "key", ["fixtures: [no_such_fixture]", "marks: [{usefixtures: no_such_fixture}]"], ids=["key", "mark"]
)
def test_an_unknown_fixture_is_a_readable_error(mesh: Workbench, key: str) -> None:
    mesh.flow("orders", f"{key}\n{PASS}")
    mesh.flow("good", PASS)

    run = mesh.run()

    assert {"errors": 1, "passed": 1} == run.outcomes
    assert "no_such_fixture" in run.text
    assert "INTERNALERROR" not in run.text
    assert "Traceback" not in run.text


def test_fixtures_that_a_conftest_adds_to_the_items_run(mesh: Workbench) -> None:
    mesh.file(
        "sub/conftest.py",
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                item.fixturenames.append("house")
        """,
    )
    mesh.flow("sub/orders", PASS)

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["fixture up", "passed", "fixture down"] == mesh.journal


def test_pytests_own_fixtures_work_in_flows(mesh: Workbench) -> None:
    mesh.flow(
        "orders",
        """
        fixtures: [tmp_path, monkeypatch, caplog, capsys, recwarn, request, pytestconfig, record_property]
        steps: [{action: t.note}]
        """,
    )

    assert {"passed": 1} == mesh.run().outcomes


# --- marks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "body", "outcome"),
    [
        ("skip", PASS, "skipped"),
        ("{skip: no till here}", PASS, "skipped"),
        ("{skip: {reason: no till here}}", PASS, "skipped"),
        ("{xfail: bug 12}", FAIL, "xfailed"),
        ("{xfail: bug 12}", PASS, "xpassed"),
        ("{xfail: {reason: bug 12, strict: true}}", PASS, "failed"),
        ("{xfail: {reason: bug 12, strict: true}}", FAIL, "xfailed"),
        ("{xfail: {reason: bug 12, run: false}}", PASS, "xfailed"),
        ("{xfail: {condition: \"STAGE == 'prod'\", reason: bug 12}}", FAIL, "xfailed"),
        ("{xfail: {condition: \"STAGE == 'dev'\", reason: bug 12}}", FAIL, "failed"),
        ("{skipif: {condition: \"STAGE == 'prod'\", reason: not there}}", PASS, "skipped"),
        ("{skipif: {condition: \"STAGE == 'dev'\", reason: not there}}", PASS, "passed"),
        ("{skipif: {condition: \"${STAGE} == 'prod'\", reason: not there}}", PASS, "skipped"),
        ("{skipif: {condition: \"${NO_STAGE:dev} == 'prod'\", reason: not there}}", PASS, "passed"),
        ("{skipif: {condition: \"REGION == 'eu'\", reason: not there}}", PASS, "skipped"),
    ],
    ids=[
        "skip", "skip-text", "skip-reason", "xfail", "xpass", "strict", "strict-xfail", "no-run",
        "xfail-true", "xfail-false", "skipif-true", "skipif-false", "template", "default", "testmesh-var",
    ],
)  # fmt: skip
def test_marks_do_what_they_do_in_python(
    mesh: Workbench, monkeypatch: pytest.MonkeyPatch, mark: str, body: str, outcome: str
) -> None:
    monkeypatch.setenv("STAGE", "prod")
    mesh.flow("orders", f"marks: [{mark}]\n{body}")

    run = mesh.run("--testmesh-var", "REGION=eu", "-rsx")

    assert {outcome: 1} == run.outcomes
    assert outcome not in ("skipped", "xfailed") or ":" not in mark or re.search("till|bug 12|there", run.text)


def test_the_reason_of_a_skip_stands_beside_the_file_of_the_flow(mesh: Workbench) -> None:
    mesh.flow("orders", f"marks: [{{skip: no till here}}]\n{PASS}")

    assert re.search(r"SKIPPED \[1\] \S*orders\.yaml(:\d+)?: no till here", mesh.run("-rs").text)


def test_a_condition_never_reaches_pytest_as_a_text(mesh: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pytest would run a text as Python, and editors take any text for a skip."""
    monkeypatch.setenv("STAGE", "prod")
    mesh.flow("orders", f"marks: [{{skipif: {{condition: \"STAGE == 'dev'\", reason: r}}}}]\n{PASS}")

    items, _ = mesh.pytester.inline_genitems("-p", "no:randomly")

    conditions = [arg for mark in items[0].iter_markers("skipif") for arg in (*mark.args, *mark.kwargs.values())]
    assert "STAGE == 'dev'" not in conditions
    assert all(isinstance(mark.args[0], bool) for mark in items[0].iter_markers("skipif") if mark.args)


def test_a_condition_is_not_python(mesh: Workbench) -> None:
    text = "__import__('pathlib').Path('pwned').touch() == null"
    mesh.flow("orders", f'marks: [{{skipif: {{condition: "{text}", reason: r}}}}]\n{PASS}')

    run = mesh.run()

    assert {"errors": 1} == run.outcomes
    assert not (mesh.path / "pwned").exists()


@pytest.mark.parametrize("mark", ["{timeout: 1}", "{timeout: {timeout: 1, method: signal}}"], ids=["number", "mapping"])
def test_the_timeout_mark_ends_a_flow(mesh: Workbench, mark: str) -> None:
    pytest.importorskip("pytest_timeout")
    mesh.flow("orders", f"marks: [{mark}]\nsteps: [{{action: delay, config: {{duration: 1h}}}}]")

    run = mesh.run("-o", "timeout_func_only=true")

    assert {"failed": 1} == run.outcomes
    assert "Timeout" in run.text


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("marks: [{parametrize: [x, [1, 2]]}]", "parametrize"),
        ("marks: [{skipif: {condition: '1 +', reason: r}}]", "1 +"),
        ("marks: [{skipif: {condition: '1 + 1', reason: r}}]", "1 + 1"),
        ("marks: [{skipif: {condition: '${NO_STAGE} == 1', reason: r}}]", "NO_STAGE"),
        ("marks: [{skipif: {reason: r}}]", "condition"),
        ("marks: [{skip: {because: r}}]", "because"),
        ("marks: [{a: 1, b: 2}]", "mark"),
        ("marks: [[x]]", "mark"),
        ("marks: [{timeout: soon}]", "soon"),
        ("marks: [{filterwarnings: 'error::nowhere.X'}]", "nowhere.X"),
        ("marks: [{usefixtures: nowhere}]", "nowhere"),
        ("marks: slow", "marks"),
        ("tags: [xfail]", "xfail"),
        ("tags: [usefixtures]", "usefixtures"),
        ("tags: [timeout]", "timeout"),
        ("tags: [1]", "tag"),
    ],
)
def test_a_bad_mark_is_the_failing_item(mesh: Workbench, key: str, named: str) -> None:
    mesh.flow("orders", f"{key}\n{PASS}")
    mesh.flow("good", PASS)

    run = mesh.run()

    assert {"errors": 1, "passed": 1} == run.outcomes
    assert named in run.cause
    assert ("orders.yaml", 3) == mesh.place(run.cause)[:2]


@pytest.mark.parametrize("args", [("-m", "smoke"), ("-k", "good"), ("-m", "not smoke")], ids=" ".join)
def test_a_broken_flow_is_never_deselected(mesh: Workbench, args: tuple[str, ...]) -> None:
    mesh.flow("good", f"tags: [smoke]\n{PASS}")
    mesh.flow("broken", f"tags: [smoke]\nasert: x\n{PASS}")

    assert 1 == mesh.run(*args).outcomes["errors"]


def test_a_conftest_that_raises_fails_the_flows_of_its_folder_only(mesh: Workbench) -> None:
    hook = "@pytest.hookimpl(optionalhook=True)\ndef pytest_testmesh_actions(registry):\n    registry.ad('x')\n"
    mesh.file("bad/conftest.py", f"import pytest\n\n{hook}")
    mesh.flow("bad/orders", PASS)
    mesh.flow("good", PASS)

    run = mesh.run()

    assert {"errors": 1, "passed": 1} == run.outcomes
    assert "has no attribute 'ad'" in run.cause


def test_a_variable_that_is_none_ends_the_run_in_one_line(mesh: Workbench) -> None:
    mesh.flow("good", PASS)

    run = mesh.run_apart("--testmesh-var", "bad")

    assert 4 == run.exit_code
    assert "--testmesh-var 'bad': write NAME=VALUE" in run.text + run.errors


# --- the other faces of pytest ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ("--collect-only",),
        ("--fixtures-per-test", "-v"),
        ("--setup-plan",),
        ("--fixtures", "-v"),
        ("--markers",),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("no_process_left")
def test_looking_starts_nothing(mesh: Workbench, args: tuple[str, ...]) -> None:
    mesh.plugin("greeter", at_start="open('started', 'w').close()")
    mesh.flow("orders", "fixtures: [house]\nsteps: [{action: greeter.hello}, {action: t.note, config: {say: x}}]")

    run = mesh.run(*args)

    assert 0 == run.exit_code, run.text + run.errors
    assert "Traceback" not in run.text
    assert [] == mesh.journal
    assert not (mesh.path / "plugins/greeter/started").exists()


def test_setup_show_names_the_fixtures_of_a_flow(mesh: Workbench) -> None:
    mesh.flow("orders", f"fixtures: [house]\n{PASS}")

    run = mesh.run("--setup-show")

    assert {"passed": 1} == run.outcomes
    assert "SETUP    F house" in run.text


def test_our_fixtures_have_a_description(mesh: Workbench) -> None:
    text = mesh.run("--fixtures").text

    assert "testmesh_plugins" in text
    assert not re.search(r"testmesh_plugins.*\n\s+no docstring available", text)


@pytest.mark.parametrize("body", [FAIL, "steps: [{action: no.such}]"], ids=["failure", "error"])
def test_the_debugger_opens_at_a_failing_flow(mesh: Workbench, body: str) -> None:
    mesh.flow("orders", body)

    run = mesh.run_apart("--pdb")

    assert "(Pdb)" in run.text
    assert "INTERNALERROR" not in run.text + run.errors


def test_durations_name_the_flow(mesh: Workbench) -> None:
    mesh.flow("orders", PASS)

    assert re.search(r"call +orders\.yaml::orders", mesh.run("--durations=0", "-vv").text)


def test_without_our_plugin_flows_are_just_files(mesh: Workbench) -> None:
    mesh.flow("orders", PASS)
    mesh.file("test_orders.py", "def test_pay():\n    pass\n")

    run = mesh.run("-p", "no:testmesh")

    assert {"passed": 1} == run.outcomes
    assert "INTERNALERROR" not in run.text


def test_the_plugin_loads_by_its_short_name_where_autoload_is_off(mesh: Workbench) -> None:
    mesh.flow("orders", PASS)

    run = mesh.run_apart("-p", "testmesh", env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})

    assert {"passed": 1} == run.outcomes


def test_importlib_mode_and_another_rootdir_work(mesh: Workbench) -> None:
    mesh.flow("flows/orders", PASS)

    run = mesh.run("--import-mode=importlib", f"--rootdir={mesh.path / 'flows'}", "--confcutdir=.", "flows")

    assert {"passed": 1} == run.outcomes
    assert "orders.yaml::orders" == run.reports[0].nodeid


def test_an_order_at_random_changes_no_outcome(mesh: Workbench) -> None:
    pytest.importorskip("pytest_randomly")
    _suite_of_brackets(mesh)

    for seed in ("1", "2", "3"):
        run = mesh.run_apart("-W", "error", f"--randomly-seed={seed}", base=False)
        assert {"passed": 2, "failed": 2} == run.outcomes


@pytest.mark.parametrize("dist", ["load", "loadfile", "worksteal"])
@pytest.mark.usefixtures("no_process_left")
def test_two_workers_give_the_same_outcomes(mesh: Workbench, dist: str) -> None:
    pytest.importorskip("xdist")
    _suite_of_brackets(mesh)
    mesh.plugin("greeter")
    mesh.flow("e", "steps: [{action: greeter.hello}]")
    mesh.flow("f", f"marks: [{{skip: r}}]\n{PASS}")
    mesh.flow("g", f"marks: [{{xfail: r}}]\n{FAIL}")
    mesh.flow("h", f"setup: [{{action: t.note, assert: [1 == 2]}}]\n{PASS}")
    mesh.flow("i", f"{PASS}\nteardown: [{{action: t.note, assert: [1 == 2]}}]")
    mesh.flow("j", "steps: [{action: no.such}]")
    expected = mesh.run().outcomes

    run = mesh.run_apart("-n2", "--dist", dist)

    assert expected == run.outcomes
    assert {"passed": 4, "failed": 2, "errors": 3, "skipped": 1, "xfailed": 1} == expected
    assert 1 == run.exit_code


def test_a_run_without_any_flow_collects_nothing(mesh: Workbench) -> None:
    assert 5 == mesh.run().exit_code


# --- what editors read --------------------------------------------------------------------------------------


def test_an_item_has_what_the_test_explorers_of_editors_read(mesh: Workbench) -> None:
    mesh.file(
        "flows/v1.2.yaml",
        "# head\nflow:\n  name: v1.2 checkout\n  tags: [smoke]\n  steps: [{action: t.note}]\n",
    )

    items, _ = mesh.pytester.inline_genitems("-p", "no:randomly")

    (item,) = items
    path, line, shown = item.location
    assert "v1.2 checkout" == item.name
    assert "flows/v1.2.yaml::v1.2 checkout" == item.nodeid
    assert mesh.path / "flows/v1.2.yaml" == item.path == item.parent.path
    assert "flows/v1.2.yaml" == path
    assert line in (1, 2)
    assert "." not in shown.replace("v1.2", "") or "v1.2 checkout" == shown
    assert ["smoke"] == [mark.name for mark in item.own_markers]
    assert not hasattr(item, "callspec")
    assert isinstance(item.fixturenames, list)


@pytest.mark.parametrize(
    "body",
    [PASS, FAIL, f"setup: [{{action: t.note, assert: [1 == 2]}}]\n{PASS}"],
    ids=["pass", "fail", "error"],
)
def test_a_flow_has_one_report_of_a_phase(mesh: Workbench, body: str) -> None:
    mesh.flow("orders", body)

    phases = [report.when for report in mesh.run().reports]

    assert len(set(phases)) == len(phases)
