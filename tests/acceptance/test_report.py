"""What a failure looks like, in the terminal, in JUnit XML and as data; secrets never show."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Run, Site, Workbench


@pytest.fixture
def checkout(mesh: Workbench) -> Run:
    """The failed run of a flow like the one the design shows."""
    mesh.flow(
        "checkout",
        """
        env: {shipping: 5}
        steps:
          - id: create
            action: t.note
            config: {say: create, total: 25}
            output: {cart_total: $.total}
          - {id: reserve, disabled: true, action: t.note}
          - id: pay
            action: t.note
            config: {body: {total: 25, state: NEW}, status: 201, cart: "${cart_total}"}
            assert:
              - status == 201
              - body.total == cart_total + shipping
              - body.state == "PAID"
              - body.state != null
          - {id: ship, action: t.note}
        """,
    )
    return mesh.run()


def test_the_first_line_alone_tells_where_which_step_and_why(mesh: Workbench, checkout: Run) -> None:
    file, line, rest = mesh.place(checkout.cause)

    assert ("checkout.yaml", mesh.line("checkout.yaml", "- body.total")) == (file, line)
    assert re.fullmatch(
        r'step 3/4 "pay" \(t\.note\) failed after [\d.]+m?s: body\.total == cart_total \+ shipping is false\b.*',
        rest,
    )


def test_the_first_line_is_the_short_summary(checkout: Run) -> None:
    summary = checkout.text[checkout.text.index("short test summary info") :]

    assert f"FAILED checkout.yaml::checkout - {checkout.cause}" in summary


def test_the_second_line_is_the_chain_of_steps(checkout: Run) -> None:
    chain = checkout.problem.splitlines()[1].strip()

    assert re.fullmatch(r"create \d+(\.\d+)?m?s ok > reserve skipped\b.* > pay FAILED > ship not run", chain)


def test_the_excerpt_points_into_the_authors_file(mesh: Workbench, checkout: Run) -> None:
    line = mesh.line("checkout.yaml", "- body.total")

    assert re.search(rf"(?m)^\s*{line - 1} \|\s+- status == 201$", checkout.problem)
    assert re.search(rf"(?m)^\s*>\s*{line} \|\s+- body\.total == cart_total \+ shipping$", checkout.problem)
    assert "body.total = 25, cart_total + shipping = 30" in checkout.problem


def test_every_failed_assertion_is_shown_with_the_values_of_its_parts(checkout: Run) -> None:
    assert "2 of 4 assertions failed" in checkout.problem
    assert re.search(r"body\.total == cart_total \+ shipping\s+25 == 30", checkout.problem)
    assert re.search(r'body\.state == "PAID"\s+"NEW" == "PAID"', checkout.problem)
    assert "status == 201  " not in checkout.problem


def test_all_that_an_actions_own_assertions_found_is_listed(mesh: Workbench) -> None:
    mesh.flow(
        "books", "steps: [{action: assert, config: {assertions: ['1 > 2', '2 > 1', '3 > 4', 'len(\"ab\") == 3']}}]"
    )

    problem = mesh.run().problem

    listed = problem.partition("  3 of 4 assertions failed:\n")[2].splitlines()[:3]
    assert ["1 > 2 is false", "3 > 4 is false", 'len("ab") == 3 is false: len("ab") is 2'] == [*map(str.strip, listed)]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("total > 5", id="false"),
        pytest.param("{expression: total > 5, message: too few}", id="false, with a message"),
        pytest.param("totl == 3", id="undefined"),
        pytest.param('{expression: total == 3, message: "${totl}"}', id="undefined in a message"),
        pytest.param("total >", id="no expression"),
    ],
)
def test_an_assertion_of_a_config_is_pointed_at(mesh: Workbench, wrong: str) -> None:
    mesh.flow(
        "sums",
        f"""
        env: {{total: 3}}
        steps:
          - action: assert
            config:
              assertions:
                - total == 3
                - {wrong}
        """,
    )

    run = mesh.run()

    line = mesh.line("sums.yaml", "- total == 3") + 1
    assert ("sums.yaml", line) == mesh.place(run.cause)[:2]
    assert re.search(rf"(?m)^\s*>\s*{line} \|.*\n\s+\|\s+\^ column \d+$", run.problem)


def test_the_values_that_the_step_used_are_shown_with_where_they_came_from(mesh: Workbench, checkout: Run) -> None:
    assert re.search(r"values\s.*cart_total = 25\s+<- step create, line \d+", checkout.problem)
    assert re.search(r"shipping = 5\s+<- env", checkout.problem)


def test_no_line_shows_our_or_pytests_insides(mesh: Workbench, checkout: Run) -> None:
    assert mesh.shows_internals(checkout.problem) is None


def test_attempts_show_how_the_value_changed(mesh: Workbench) -> None:
    mesh.flow(
        "waiting",
        """
        steps:
          - id: pay
            action: t.script
            config: {say: pay, answers: [{state: NEW}, {state: HELD}, {state: LOST}]}
            retry: {max_attempts: 3, delay: 10ms}
            assert: ['state == "PAID"']
        """,
    )

    problem = mesh.run().problem

    assert "attempt 3/3" in problem.splitlines()[0]
    assert re.search(r"(?s)NEW.*HELD.*LOST", problem)


def test_an_http_step_shows_what_was_sent_and_received(mesh: Workbench, site: Site) -> None:
    mesh.flow(
        "paying",
        f"""
        steps:
          - id: pay
            action: http_request
            config: {{method: POST, url: "{site.url}/orders/42/pay", body: {{amount: 25}}}}
            assert: [status == 201, body.total == 30]
        """,
    )

    problem = mesh.run().problem

    assert re.search(rf"sent\s+POST {re.escape(site.url)}/orders/42/pay\s.*\"amount\": 25", problem)
    assert re.search(r"received\s+201 in [\d.]+ m?s.*application/json.*\"total\": 25", problem)


def test_an_unreachable_server_is_named(mesh: Workbench, closed_port: int) -> None:
    mesh.flow(
        "paying",
        f'steps: [{{action: http_request, config: {{method: GET, url: "http://127.0.0.1:{closed_port}/pay"}}}}]',
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert str(closed_port) in run.problem
    assert "refused" in run.cause.lower()
    assert mesh.shows_internals(run.problem) is None


def test_an_undefined_name_is_pointed_at_with_near_matches(mesh: Workbench) -> None:
    mesh.flow(
        "names",
        """
        env: {SHOP_URL: http://x}
        steps:
          - id: get
            action: t.note
            config:
              first: 1
              say: "${SHOP_URI}/a"
        """,
    )

    run = mesh.run()

    assert ("names.yaml", mesh.line("names.yaml", "SHOP_URI")) == mesh.place(run.cause)[:2]
    assert "SHOP_URI" in run.cause
    assert "SHOP_URL" in run.problem.replace("SHOP_URI", "")


def test_a_missing_path_lists_the_keys_that_were_there(mesh: Workbench) -> None:
    mesh.flow(
        "paths",
        """
        steps:
          - action: t.note
            config: {body: {customer: {first_name: Ann, city: Bern}}}
            assert: ['body.customer.name startsWith "A"']
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "body.customer.name" in run.cause
    assert "first_name" in run.problem
    assert "city" in run.problem


def test_comparing_different_types_says_how_to_convert(mesh: Workbench) -> None:
    mesh.flow("types", "steps: [{action: t.note, config: {status: 500, code: '500'}, assert: [status != code]}]")

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "int(code)" in run.problem or "string(status)" in run.problem


def test_large_equal_structures_get_pytests_own_diff(mesh: Workbench) -> None:
    mesh.flow(
        "diffing",
        """
        steps:
          - action: t.note
            config: {items: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], order: {id: 1, state: NEW, lines: [1, 2]}}
            assert:
              - items == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
              - 'order == {id: 1, state: "PAID", lines: [1, 2]}'
        """,
    )

    problem = mesh.run().problem

    assert "At index 9 diff: 9 != 10" in problem
    assert "Differing items" in problem


def test_a_failure_stays_short_whatever_the_size_of_the_data(mesh: Workbench) -> None:
    mesh.flow(
        "big",
        """
        steps:
          - id: many
            action: t.note
            config: {text: "line\\n", rows: "${range}"}
            assert: ["len(rows) == 1", "rows == []", "join(rows, 'x') == ''"]
        """.replace("${range}", "${split('" + "row," * 3000 + "', ',')}"),
    )

    problem = mesh.run().problem

    assert len(problem.splitlines()) <= 45
    assert len(problem) < 20_000


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_problems_of_setup_and_teardown_look_like_those_of_steps(mesh: Workbench, phase: str) -> None:
    mesh.flow(
        "phases",
        f"""
        {phase}:
          - {{id: first, action: t.note}}
          - id: wrong
            action: t.note
            config: {{n: 1}}
            assert:
              - n == 2
        steps: [{{id: pay, action: t.note}}]
        """,
    )

    run = mesh.run()

    assert ("phases.yaml", mesh.line("phases.yaml", "- n == 2")) == mesh.place(run.cause)[:2]
    assert re.search(r'2/2 "wrong" \(t\.note\) failed after .*: n == 2 is false', run.cause)
    assert phase in run.problem
    assert mesh.shows_internals(run.text) is None
    assert f"ERROR phases.yaml::phases - {run.cause}" in run.text


def test_a_bad_flow_file_shows_an_excerpt_without_internals(mesh: Workbench) -> None:
    mesh.flow("bad", "steps:\n  - action: t.note\n    assertt: [1 == 2]")

    run = mesh.run()
    line = mesh.line("bad.yaml", "assertt")

    assert re.search(rf"(?m)^\s*>\s*{line} \|\s+assertt", run.problem)
    assert f"ERROR bad.yaml::bad - {run.cause}" in run.text
    assert mesh.shows_internals(run.text) is None


def test_tb_line_prints_file_and_line_of_the_flow(mesh: Workbench) -> None:
    mesh.flow("orders", "steps:\n  - action: t.note\n    assert:\n      - 1 == 2")

    assert re.search(r"(?m)^\S*orders\.yaml:6: .*1 == 2", mesh.run("--tb=line").text)


@pytest.mark.parametrize("style", ["auto", "long", "short", "native", "no"])
def test_every_style_of_traceback_keeps_the_summary(mesh: Workbench, style: str) -> None:
    mesh.flow("orders", "steps: [{id: pay, action: t.note, assert: [1 == 2]}]")

    run = mesh.run(f"--tb={style}")

    assert re.search(r'FAILED orders\.yaml::orders - \S*orders\.yaml:3: step 1/1 "pay" .*1 == 2 is false', run.text)
    assert mesh.shows_internals(run.text) is None


# --- what passes is shown too -------------------------------------------------------------------------------


CHAIN = """
steps:
  - {id: create, action: t.note}
  - {id: wrap, disabled: true, action: t.note}
  - {id: pay, action: t.note, on_error: continue, assert: [1 == 2]}
  - {id: ship, action: t.note}
"""


@pytest.mark.parametrize("workers", ["", "-n2"], ids=["alone", "xdist"])
def test_verbose_shows_the_steps(mesh: Workbench, workers: str) -> None:
    mesh.flow("orders", CHAIN)

    text = mesh.run_apart("-v", *workers.split()).text

    assert re.search(r"(?m)create.*\b(ok|passed)\b", text)
    assert re.search(r"(?m)wrap.*\bskipped", text)
    assert re.search(r"(?m)pay.*failed, continued", text)
    assert re.search(r"(?m)ship.*\b(ok|passed)\b", text)
    assert "orders.yaml::orders PASSED" in text or "PASSED orders.yaml::orders" in text


def test_without_verbose_a_passing_flow_is_a_dot(mesh: Workbench) -> None:
    mesh.flow("orders", "steps: [{id: create, action: t.note}]")

    text = mesh.run().text

    assert "create" not in text
    assert re.search(r"(?m)^orders\.yaml \.", text)


def test_very_verbose_dumps_requests_and_responses(mesh: Workbench, site: Site) -> None:
    mesh.flow(
        "orders", f'steps: [{{id: get, action: http_request, config: {{method: GET, url: "{site.url}/orders"}}}}]'
    )

    assert f"GET {site.url}/orders" not in mesh.run("-v").text
    text = mesh.run("-vv").text
    assert f"GET {site.url}/orders" in text
    assert '"total": 25' in text


@pytest.mark.parametrize("args", [(), ("-q",), ("-n2",)], ids=["plain", "quiet", "xdist"])
def test_failed_but_continued_is_counted_in_the_summary(mesh: Workbench, args: tuple[str, ...]) -> None:
    mesh.flow("orders", CHAIN)

    run = mesh.run_apart(*args)

    assert 0 == run.exit_code
    assert "1 passed" in run.text
    assert run.continued


def test_nothing_is_counted_when_nothing_was_continued(mesh: Workbench) -> None:
    mesh.flow("orders", "steps: [{id: create, action: t.note}]")

    assert "failed, continued" not in mesh.run().text


def test_what_a_step_prints_is_in_a_section_of_that_step(mesh: Workbench) -> None:
    mesh.flow(
        "orders",
        """
        steps:
          - {id: create, action: t.shout, config: {say: one order}}
          - {id: pay, action: t.shout, config: {say: one payment}}
          - {id: tell, action: log, config: {message: a log line}}
          - {id: end, action: t.note, assert: [1 == 2]}
        """,
    )

    sections = mesh.run().problems[0].sections

    (create,) = (name for name, text in sections if "one order" in text)
    (pay,) = (name for name, text in sections if "one payment" in text)
    assert "create" in create
    assert "pay" in pay
    assert "stdout" in pay
    assert any("a log line" in text for _, text in sections)


@pytest.mark.usefixtures("no_process_left")
def test_what_a_plugin_prints_and_logs_is_in_the_report_of_the_step(mesh: Workbench) -> None:
    mesh.plugin(
        "greeter",
        at_execute='print("on stdout", flush=True); print("on stderr", file=sys.stderr, flush=True); '
        'return self.answer({"success": False, "logs": [{"level": "info", "message": "a log line"}], '
        '"error": {"code": "E42", "message": "nobody to greet", "details": {"looked": "everywhere"}}})',
    )
    mesh.flow("greeting", "steps: [{id: greet, action: greeter.hello}]")

    run = mesh.run()

    assert "nobody to greet" in run.cause
    assert "E42" in run.problem
    assert "everywhere" in run.problem
    for words in ("on stdout", "on stderr", "a log line"):
        assert words in run.text


# --- for machines -------------------------------------------------------------------------------------------


def _junit(mesh: Workbench, *args: str) -> ET.Element:
    mesh.run_apart("--junitxml=out.xml", *args)
    suite = ET.parse(mesh.path / "out.xml").getroot().find("testsuite")
    assert suite is not None
    return suite


@pytest.mark.parametrize("workers", ["", "-n2"], ids=["alone", "xdist"])
def test_junit_tells_failures_from_errors_by_the_first_line(mesh: Workbench, workers: str) -> None:
    wrong = "[{id: wrong, action: t.note, assert: [1 == 2]}]"
    mesh.flow("a", f"steps: {wrong}")
    mesh.flow("b", f"setup: {wrong}\nsteps: [{{action: t.note}}]")
    mesh.flow("c", f"steps: [{{action: t.note}}]\nteardown: {wrong}")
    mesh.flow("d", "steps: [{action: t.notee}]")
    mesh.flow("e", "steps: [{id: create, action: t.note}]")

    suite = _junit(mesh, *workers.split())

    cases = {case.get("name"): case for case in suite.iter("testcase")}
    found = {name: [child.tag for child in case if child.tag != "properties"] for name, case in cases.items()}
    assert {"a": ["failure"], "b": ["error"], "c": ["error"], "d": ["error"], "e": []} == found
    for name, line in (("a", 3), ("b", 3), ("c", 4), ("d", 3)):
        problem = next(child for child in cases[name] if child.tag in ("failure", "error"))
        message = problem.get("message", "")
        assert re.search(rf'(^|"|/){name}\.yaml:{line}: ', message), message
        assert "\n" not in message
        assert (problem.text or "").strip().splitlines()[0] in message
    assert "create" in "".join(str(child.attrib) for child in cases["e"].iter("property"))


@pytest.mark.usefixtures("no_process_left")
def test_junit_has_the_metrics_of_a_plugin(mesh: Workbench) -> None:
    mesh.plugin("greeter", at_execute='return self.answer({"success": True, "output": {}, "metrics": {"rows": 3}})')
    mesh.flow("greeting", "steps: [{id: greet, action: greeter.hello}]")

    found = {each.get("name"): each.get("value") for each in _junit(mesh).iter("property")}

    assert '{"rows":3}' == found["testmesh.step.greet.metrics"]


@pytest.mark.parametrize("name", ["pass", "fail", "error"])
def test_the_report_carries_json(mesh: Workbench, name: str) -> None:
    wrong = {"pass": "", "fail": ", assert: [1 == 2]", "error": ""}[name]
    setup = "setup: [{id: open, action: t.note, assert: [1 == 2]}]\n" if name == "error" else ""
    mesh.flow("orders", f"{setup}steps: [{{id: create, action: t.note}}, {{id: pay, action: t.note{wrong}}}]")

    run = mesh.run()

    found = [report.testmesh for report in run.reports if getattr(report, "testmesh", None) is not None]
    assert found
    for data in found:
        assert isinstance(data, dict)
        assert data == json.loads(json.dumps(data))
    text = json.dumps(found)
    assert ("open" if name == "error" else "create") in text
    assert name == "error" or "pay" in text
    for report in run.reports:
        assert all(isinstance(value, str) for _, value in report.user_properties)


def test_the_report_tells_machines_the_same_facts(mesh: Workbench, checkout: Run) -> None:
    facts = json.dumps(checkout.problems[0].testmesh)

    for fact in (
        "pay",
        "body.total == cart_total + shipping",
        "body.state",
        "checkout.yaml",
        "create",
        "not run",
    ):
        assert fact.replace('"', '\\"') in facts.replace("not_run", "not run")


# --- secrets ------------------------------------------------------------------------------------------------


SECRET = "hunter2/pässword+1"
FORMS = {
    "plain": SECRET,
    "url": urllib.parse.quote(SECRET, safe=""),
    "url-plus": urllib.parse.quote_plus(SECRET),
    "url-path": urllib.parse.quote(SECRET),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "basic": base64.b64encode(f"ann:{SECRET}".encode()).decode(),
    "json": json.dumps(SECRET)[1:-1],
}


@pytest.fixture
def secretive(mesh: Workbench, site: Site, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """Flows that use one secret wherever a report could show it."""
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    body = f"""
        env: {{API_TOKEN: "${{SHOP_PASSWORD}}"}}
        steps:
          - {{id: shout, action: t.shout, config: {{say: "it is ${{API_TOKEN}}"}}}}
          - id: tell
            action: log
            config: {{message: "log ${{API_TOKEN}}", data: {{x: "${{API_TOKEN}}"}}}}
          - id: get
            action: http_request
            config:
              method: POST
              url: "{site.url}/a/${{API_TOKEN}}"
              params: {{key: "${{API_TOKEN}}"}}
              headers: {{X-Session: "${{API_TOKEN}}"}}
              auth: {{type: basic, username: ann, password: "${{API_TOKEN}}"}}
              body: {{nested: [{{deep: "${{API_TOKEN}}"}}]}}
          - id: note
            action: t.note
            config: {{plain: "${{API_TOKEN}}", long: "so ${{API_TOKEN}} it is"}}
            assert:
              - plain == "ann"
              - long endsWith "no"
              - plain == ${{API_TOKEN}} && 1 == 2
        """
    mesh.flow("fails", body)
    mesh.flow("errors", body.replace("steps:", "setup:") + "\n        steps: [{action: t.note}]\n")
    mesh.flow("passes", body.split("            assert:")[0])
    mesh.flow("raises", 'steps: [{action: t.script, config: {say: x, answers: ["bug"], p: "${SHOP_PASSWORD}"}}]')
    return mesh


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("-v",),
        ("-vv",),
        ("-rA",),
        ("-vv", "--showlocals"),
        ("-n2", "-vv"),
        ("--tb=long",),
        ("--tb=line",),
    ],
    ids=" ".join,
)
def test_a_secret_shows_in_no_form_on_any_channel(secretive: Workbench, args: tuple[str, ...]) -> None:
    run = secretive.run_apart("--junitxml=out.xml", "-o", "junit_logging=all", "-o", "log_cli=true", *args)
    text = run.text + run.errors + (secretive.path / "out.xml").read_text(encoding="utf-8")

    assert {"passed": 1, "failed": 2, "errors": 1} == run.outcomes
    assert "***" in text
    assert [] == [name for name, form in FORMS.items() if form in text]


def test_a_secret_is_in_no_attribute_of_a_report(secretive: Workbench) -> None:
    for report in secretive.run().reports:
        text = repr([vars(report), report.longreprtext, report.sections, report.user_properties])
        assert [] == [name for name, form in FORMS.items() if form in text]


def test_a_secret_that_a_server_gave_is_masked(mesh: Workbench) -> None:
    mesh.flow(
        "login",
        """
        steps:
          - {id: login, action: t.note, config: {access_token: abc123def456}, output: {mine: $.access_token}}
          - {id: use, action: t.shout, config: {say: "use ${login.access_token}"}, assert: [said == mine]}
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "abc123def456" not in run.text


def test_the_ini_testmesh_secrets_names_further_secrets(mesh: Workbench) -> None:
    mesh.pytester.makeini("[pytest]\ntestmesh_secrets = CARD\n")
    mesh.flow(
        "pay",
        """
        env: {CARD: "4111222233334444"}
        steps: [{action: t.shout, config: {say: "${CARD}"}, assert: [said == 1]}]
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "4111222233334444" not in run.text


def test_a_short_secret_hides_itself_but_no_word_of_the_report(mesh: Workbench) -> None:
    mesh.flow(
        "short",
        """
        env: {PASSWORD: test}
        steps:
          - id: a_test
            action: t.note
            config: {message: "this test stays", password: "${PASSWORD}"}
            assert: ['message == "another test"', password == "x"]
        """,
    )

    problem = mesh.run().problem

    assert "this test stays" in problem
    assert re.search(r"(?i)password\s*=\s*\"?test", problem) is None
    assert re.search(r"\"test\" == \"x\"", problem) is None
