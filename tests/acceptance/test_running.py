"""One test for each sentence of the design's "Running a step" that states a behaviour."""

from __future__ import annotations

import re
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Site, Workbench


def _script(answers: str, rest: str) -> str:
    return f"steps: [{{id: call, action: t.script, config: {{say: call, answers: {answers}}}, {rest}}}]"


def _seconds(cause: str) -> float:
    """The time that the first line of a failure names, in seconds."""
    match = re.search(r"failed after (?:(\d+)m)?([\d.]+)(ms|s)", cause)
    assert match is not None, f"no 'failed after <time>' in {cause!r}"
    return int(match[1] or 0) * 60 + float(match[2]) * (0.001 if match[3] == "ms" else 1)


# --- order --------------------------------------------------------------------------------------------------


def test_steps_run_in_the_order_of_the_file(mesh: Workbench) -> None:
    mesh.flow(
        "order",
        """
        teardown:
          - {action: t.note, config: {say: teardown}}
        steps:
          - {action: t.note, config: {say: first}}
          - {action: t.note, config: {say: second}}
        setup:
          - {action: t.note, config: {say: setup}}
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["setup", "first", "second", "teardown"] == mesh.journal


@pytest.mark.parametrize(
    "skip",
    ["disabled: true", "when: 1 == 2", "when: '${STAGE:dev} == \"prod\"'"],
    ids=["disabled", "when", "template"],
)
def test_a_skipped_step_is_neither_filled_in_nor_checked_nor_run(mesh: Workbench, skip: str) -> None:
    mesh.flow(
        "skipping",
        f"""
        steps:
          - id: left_out
            {skip}
            action: t.count
            config: {{say: "${{no_such_name}}", count: "${{no_such_name}}"}}
            assert: ["1 == 2"]
          - {{action: t.note, config: {{say: on}}}}
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["on"] == mesh.journal


def test_a_disabled_step_does_not_look_at_its_condition(mesh: Workbench) -> None:
    mesh.flow(
        "skipping",
        """
        steps:
          - {disabled: true, when: "${no_such_name} == 1", action: t.note, config: {say: left out}}
          - {action: t.note, config: {say: on}}
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["on"] == mesh.journal


def test_a_condition_that_cannot_be_evaluated_fails_the_step(mesh: Workbench) -> None:
    mesh.flow("skipping", 'steps: [{when: "${no_such_name} == 1", action: t.note, config: {say: x}}]')

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "no_such_name" in run.cause
    assert [] == mesh.journal


def test_config_is_filled_in_before_the_schema_checks_it(mesh: Workbench) -> None:
    mesh.flow(
        "filling",
        """
        env: {HOW_MANY: 3}
        steps: [{action: t.count, config: {say: "${HOW_MANY} rooms", count: "${HOW_MANY}"}}]
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["3 rooms"] == mesh.journal


def test_a_filled_in_config_that_breaks_the_schema_is_never_run(mesh: Workbench) -> None:
    mesh.flow(
        "filling",
        """
        env: {HOW_MANY: many}
        steps:
          - {action: t.note, config: {say: before}}
          - {action: t.count, config: {say: never, count: "${HOW_MANY}"}}
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "count" in run.cause
    assert "many" in run.problem
    assert ["before"] == mesh.journal


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("{say: x, count: many}", "count"),
        ("{say: x}", "count"),
        ("{say: x, count: 1, colour: red}", "colour"),
    ],
    ids=["type", "required", "unknown"],
)
def test_a_config_without_placeholders_is_checked_before_any_step_runs(
    mesh: Workbench, config: str, named: str
) -> None:
    mesh.flow(
        "checked",
        f"""
        steps:
          - {{action: t.note, config: {{say: before}}}}
          - action: t.count
            config: {config}
        """,
    )

    run = mesh.run()

    assert {"errors": 1} == run.outcomes
    assert named in run.cause
    file, line, _ = mesh.place(run.cause)
    assert "checked.yaml" == file
    assert line >= mesh.line("checked.yaml", "t.count")
    assert [] == mesh.journal


def test_all_assertions_are_evaluated_and_all_failures_shown(mesh: Workbench) -> None:
    mesh.flow(
        "asserting",
        """
        steps:
          - action: t.note
            config: {say: x, total: 25, state: NEW}
            assert:
              - total == 30
              - say == "x"
              - state == "PAID"
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "total == 30" in run.cause
    assert ("asserting.yaml", mesh.line("asserting.yaml", "- total")) == mesh.place(run.cause)[:2]
    assert 'state == "PAID"' in run.problem
    assert "2 of 3 assertions failed" in run.problem


def test_assert_any_wants_one_and_assert_none_wants_no_true_assertion(mesh: Workbench) -> None:
    mesh.flow(
        "asserting",
        """
        steps:
          - action: t.note
            config: {state: NEW}
            assert_any: ['state == "NEW"', 'state == "OLD"']
            assert_none: ['state == "OLD"']
        """,
    )
    mesh.flow(
        "any",
        "steps: [{action: t.note, config: {state: NEW}, assert_any: [\"state == 'A'\", \"state == 'B'\"]}]",
    )
    mesh.flow(
        "none",
        "steps: [{action: t.note, config: {state: NEW}, assert_none: [1 == 2, \"state == 'NEW'\"]}]",
    )

    assert {"passed": 1} == mesh.run("asserting.yaml").outcomes
    assert {"failed": 1} == mesh.run("any.yaml").outcomes
    assert "state == 'NEW'" in mesh.run("none.yaml").problem


def test_outputs_are_read_after_the_assertions(mesh: Workbench) -> None:
    mesh.flow(
        "outputs",
        """
        steps:
          - action: t.note
            config: {total: 25}
            output: {missing: $.no_such_key}
            assert: [total == 30]
        """,
    )

    assert "total == 30" in mesh.run().cause


def test_an_output_that_is_not_there_fails_the_step_and_lists_what_was(mesh: Workbench) -> None:
    mesh.flow("outputs", "steps: [{action: t.note, config: {total: 25}, output: {price: $.no_such_key}}]")

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "no_such_key" in run.cause
    assert "total" in run.problem


def test_outputs_reach_the_later_steps_of_every_phase(mesh: Workbench) -> None:
    mesh.flow(
        "outputs",
        """
        setup: [{id: login, action: t.note, config: {say: login, who: ann}, output: {user: $.who}}]
        steps: [{action: t.note, config: {say: "${login.user} ${user} ${login.who}"}}]
        teardown: [{action: t.note, config: {say: "bye ${user}"}}]
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["login", "ann ann ann", "bye ann"] == mesh.journal


def test_a_flow_whose_steps_were_all_skipped_is_a_skipped_item(mesh: Workbench) -> None:
    mesh.flow(
        "skipping",
        """
        setup: [{action: t.note, config: {say: setup}}]
        steps:
          - {disabled: true, action: t.note, config: {say: one}}
          - {when: 1 == 2, action: t.note, config: {say: two}}
        teardown: [{action: t.note, config: {say: teardown}}]
        """,
    )

    run = mesh.run("-rs")

    assert {"skipped": 1} == run.outcomes
    assert ["setup", "teardown"] == mesh.journal
    assert "SKIPPED [1] skipping.yaml:2: all steps were skipped" in run.text


def test_a_reference_to_a_skipped_step_is_an_error_that_says_so(mesh: Workbench) -> None:
    mesh.flow(
        "skipping",
        """
        steps:
          - {id: create, disabled: true, action: t.note, config: {say: one}}
          - {action: t.note, config: {say: "${create.say}"}}
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert re.search(r"create\b.*skipped", run.cause)


# --- retry --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "rest", "outcome", "calls"),
    [
        ("[broken, {n: 1}]", "retry: {delay: 10ms}", "passed", 2),
        ("[refused, timeout, {n: 1}]", "retry: {delay: 10ms}", "passed", 3),
        ("[{n: 1}, {n: 2}, {n: 3}]", "retry: {delay: 10ms}, assert: [n == 2]", "passed", 2),
        ("[broken]", "retry: {max_attempts: 4, delay: 10ms}", "failed", 4),
        ("[{n: 1}]", "retry: {max_attempts: 2, delay: 10ms}, assert: [n == 2]", "failed", 2),
        ("[{n: 1}, {m: 1}]", "retry: {max_attempts: 2, delay: 10ms}, output: {got: $.m}", "passed", 2),
        ("[config]", "retry: {delay: 10ms}", "failed", 1),
    ],
    ids=["action", "twice", "assertion", "action-for-good", "assertion-for-good", "output", "config"],
)
def test_retry_repeats_on_failure(mesh: Workbench, answers: str, rest: str, outcome: str, calls: int) -> None:
    mesh.flow("retrying", _script(answers, rest))

    run = mesh.run()

    assert {outcome: 1} == run.outcomes
    assert ["call"] * calls == mesh.journal


def test_a_failure_says_which_attempt_it_was(mesh: Workbench) -> None:
    mesh.flow("retrying", _script("[broken]", "retry: {max_attempts: 4, delay: 10ms}"))

    assert "attempt 4/4" in mesh.run().cause


@pytest.mark.parametrize(
    ("answers", "rest", "outcome", "calls"),
    [
        ("[refused, {n: 1}]", "retry: {delay: 10ms, retry_on: [connection_error]}", "passed", 2),
        ("[timeout, {n: 1}]", "retry: {delay: 10ms, retry_on: [timeout, connection_error]}", "passed", 2),
        ("[broken, {n: 1}]", "retry: {delay: 10ms, retry_on: [timeout, connection_error]}", "failed", 1),
        ("[broken, {n: 1}]", "retry: {delay: 10ms, retry_on: ['n >= 500']}", "failed", 1),
        (
            "[{n: 503}, {n: 200}]",
            "retry: {delay: 10ms, retry_on: ['n >= 500']}, assert: [n == 200]",
            "passed",
            2,
        ),
        (
            "[{n: 404}, {n: 200}]",
            "retry: {delay: 10ms, retry_on: ['n >= 500']}, assert: [n == 200]",
            "failed",
            1,
        ),
    ],
    ids=["refused", "one-of-two", "other-cause", "no-result", "matching", "not-matching"],
)
def test_retry_on_repeats_only_on_those_causes(
    mesh: Workbench, answers: str, rest: str, outcome: str, calls: int
) -> None:
    mesh.flow("retrying", _script(answers, rest))

    run = mesh.run()

    assert {outcome: 1} == run.outcomes
    assert ["call"] * calls == mesh.journal


def test_retry_on_repeats_an_otherwise_passing_attempt(mesh: Workbench) -> None:
    mesh.flow("retrying", _script("[{n: 503}, {n: 200}]", "retry: {delay: 10ms, retry_on: ['n >= 500']}"))

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["call", "call"] == mesh.journal


def test_a_step_whose_last_attempt_still_matches_retry_on_fails(mesh: Workbench) -> None:
    mesh.flow("retrying", _script("[{n: 503}]", "retry: {max_attempts: 2, delay: 10ms, retry_on: ['n >= 500']}"))

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "n >= 500" in run.cause
    assert ["call", "call"] == mesh.journal


@pytest.mark.parametrize(
    ("answers", "rest"),
    [
        ("[{n: 401}]", "retry: {delay: 10ms, retry_on_not: ['n == 401']}, assert: [n == 200]"),
        (
            "[{n: 401}]",
            "retry: {delay: 10ms, retry_on: ['n > 400'], retry_on_not: ['n == 401']}, assert: [n == 200]",
        ),
        ("[timeout]", "retry: {delay: 10ms, retry_on_not: [timeout]}"),
    ],
    ids=["expression", "beats-retry_on", "word"],
)
def test_retry_on_not_ends_the_repeating(mesh: Workbench, answers: str, rest: str) -> None:
    mesh.flow("retrying", _script(answers, rest))

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert ["call"] == mesh.journal


def test_on_error_retry_is_retry_with_its_defaults(mesh: Workbench) -> None:
    mesh.flow("retrying", _script("[broken]", "on_error: retry"))

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "attempt 3/3" in run.cause
    assert _seconds(run.cause) >= 2
    assert ["call"] * 3 == mesh.journal


def test_no_delay_follows_the_last_attempt(mesh: Workbench) -> None:
    mesh.flow("retrying", _script("[broken]", "retry: {max_attempts: 2, delay: 2s, backoff: exponential}"))

    assert 2 <= _seconds(mesh.run().cause) < 2 + 4


def test_config_is_filled_in_afresh_for_each_attempt(mesh: Workbench) -> None:
    mesh.flow(
        "retrying",
        """
        steps:
          - action: t.note
            config: {say: ["${UUID}", "${UUID}"]}
            retry: {max_attempts: 2, delay: 10ms}
            assert: [1 == 2]
        """,
    )

    mesh.run()

    (first, first_again), (second, second_again) = mesh.journal
    assert first == first_again
    assert second == second_again
    assert first != second


# --- eventually ---------------------------------------------------------------------------------------------


def test_eventually_repeats_until_everything_holds(mesh: Workbench) -> None:
    rest = """eventually: {within: 20s, every: 10ms}, assert: ["state == 'DONE'", n == 3]"""
    mesh.flow(
        "polling",
        _script("[{state: NEW, n: 1}, {state: DONE, n: 2}, {state: NEW, n: 3}, {state: DONE, n: 3}]", rest),
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["call"] * 4 == mesh.journal


def test_eventually_ends_when_the_time_is_up(mesh: Workbench) -> None:
    rest = """eventually: {within: 1s, every: 50ms}, assert: ["state == 'DONE'"]"""
    mesh.flow("polling", _script("[{state: NEW}]", rest))

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "state == 'DONE'" in run.problem
    assert 1 < len(mesh.journal) < 30


def test_eventually_may_be_just_a_duration(mesh: Workbench) -> None:
    mesh.flow("polling", _script("[{n: 1}, {n: 2}]", "eventually: 20s, assert: [n == 2]"))

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["call", "call"] == mesh.journal


def test_what_comes_true_during_the_last_wait_is_still_seen(mesh: Workbench) -> None:
    rest = "eventually: {within: 1s, every: 1h}, assert: [n == 2]"
    mesh.flow("polling", _script("[{n: 1}, {n: 2}]", rest))

    assert {"passed": 1} == mesh.run().outcomes


@pytest.mark.parametrize(
    "first",
    ["{}", "{body: {}}", "refused", "timeout", "broken"],
    ids=["no-key", "no-path", "refused", "timeout", "error"],
)
def test_eventually_takes_absent_keys_and_action_errors_as_not_yet(mesh: Workbench, first: str) -> None:
    rest = """eventually: {within: 20s, every: 10ms}, assert: ["body.state startsWith 'DO'"]"""
    mesh.flow("polling", _script(f"[{first}, {{body: {{state: DONE}}}}]", rest))

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["call", "call"] == mesh.journal


def test_eventually_takes_an_absent_output_as_not_yet(mesh: Workbench) -> None:
    rest = "eventually: {within: 20s, every: 10ms}, output: {got: $.n}"
    mesh.flow("polling", _script("[{}, {n: 1}]", rest))

    assert {"passed": 1} == mesh.run().outcomes


def test_eventually_waits_for_a_server_that_is_not_up_yet(mesh: Workbench, late_site: str) -> None:
    mesh.flow(
        "polling",
        f"""
        steps:
          - action: http_request
            config: {{method: GET, url: "{late_site}/"}}
            eventually: {{within: 20s, every: 50ms}}
            assert: [status == 200]
        """,
    )

    assert {"passed": 1} == mesh.run().outcomes


@pytest.mark.parametrize(
    ("step", "calls", "cause"),
    [
        ('{action: t.note, config: {say: "${no_such_name}"}', 0, "no_such_name"),
        ('{action: t.note, config: {say: call}, assert: ["say == ${no_such_name}"]', 1, "no_such_name"),
        ("{action: t.script, config: {say: call, answers: [config]}", 1, "this config cannot work"),
        ('{action: t.count, config: {say: call, count: "${FLOW_NAME}"}', 0, "count"),
    ],
    ids=["name-in-config", "name-in-assertion", "config-error", "schema"],
)
def test_eventually_stops_at_once_where_waiting_cannot_help(mesh: Workbench, step: str, calls: int, cause: str) -> None:
    mesh.flow("polling", f"steps: [{step}, eventually: {{within: 20s, every: 10ms}}}}]")

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert cause in run.cause
    assert ["call"] * calls == mesh.journal


def test_eventually_stops_at_once_at_fail_if(mesh: Workbench) -> None:
    fail_if = """fail_if: ["state == 'FAILED'"]"""
    rest = f"""eventually: {{within: 20s, every: 10ms, {fail_if}}}, assert: ["state == 'DONE'"]"""
    mesh.flow("polling", _script("[{state: null}, {state: NEW}, {state: FAILED}, {state: DONE}]", rest))

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "state == 'FAILED'" in run.cause
    assert ["call"] * 3 == mesh.journal


def test_a_time_out_of_eventually_shows_what_changed_between_attempts(mesh: Workbench) -> None:
    rest = """eventually: {within: 2s, every: 50ms}, assert: ["state == 'DONE'"]"""
    mesh.flow("polling", _script("[{state: NEW}, {state: PENDING}, {state: STUCK}]", rest))

    assert re.search(r"NEW.*PENDING.*STUCK", mesh.run().problem)


def test_retry_and_eventually_on_one_step_is_a_flow_error(mesh: Workbench) -> None:
    mesh.flow(
        "both",
        """
        steps:
          - action: t.note
            eventually: 1s
            retry: {max_attempts: 2}
        """,
    )

    run = mesh.run()

    assert {"errors": 1} == run.outcomes
    assert "retry" in run.cause
    assert "eventually" in run.cause
    assert mesh.place(run.cause)[1] >= mesh.line("both.yaml", "- action")


# --- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "repeat",
    ["retry: {max_attempts: 10000, delay: 50ms}", "eventually: {within: 1h, every: 50ms}"],
    ids=["retry", "eventually"],
)
def test_the_timeout_of_a_step_bounds_all_attempts_together(mesh: Workbench, repeat: str) -> None:
    mesh.flow("timing", _script("[{n: 1}]", f"timeout: 1s, {repeat}, assert: [n == 2]"))

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert 1 < len(mesh.journal) < 30


def test_the_timeout_of_the_action_bounds_one_attempt(mesh: Workbench, site: Site) -> None:
    mesh.flow(
        "timing",
        f"""
        steps:
          - action: http_request
            config: {{method: GET, url: "{site.url}/slow-once", timeout: 2s}}
            retry: {{max_attempts: 2, delay: 10ms}}
            assert: [status == 200]
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["GET /slow-once"] * 2 == site.requests


def test_a_time_out_is_not_repeated_unless_the_author_asks(mesh: Workbench, site: Site) -> None:
    mesh.flow(
        "timing",
        f'steps: [{{action: http_request, config: {{method: GET, url: "{site.url}/slow-once", timeout: 300ms}}}}]',
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert re.search("300ms|0.3", run.cause)
    mesh.wait_until(lambda: site.requests, "the request")
    assert ["GET /slow-once"] == site.requests


def test_the_timeout_of_the_flow_bounds_setup_and_steps_together(mesh: Workbench) -> None:
    mesh.flow(
        "timing",
        """
        timeout: 3s
        setup: [{action: delay, config: {duration: 500ms}}]
        steps:
          - {id: slow, action: delay, config: {duration: 2800ms}}
          - {action: t.note, config: {say: never}}
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert re.search(r"flow.*time|time.*flow", run.cause)
    assert "slow" in run.cause
    assert [] == mesh.journal


def test_a_flow_whose_time_is_up_in_setup_is_an_error(mesh: Workbench) -> None:
    mesh.flow(
        "timing",
        """
        timeout: 300ms
        setup: [{action: delay, config: {duration: 1h}}]
        steps: [{action: t.note, config: {say: never}}]
        """,
    )

    run = mesh.run()

    assert {"errors": 1} == run.outcomes
    assert [] == mesh.journal


def test_deadlines_do_not_look_at_the_wall_clock(mesh: Workbench) -> None:
    mesh.file(
        "clock/conftest.py",
        """
        import itertools
        import time

        import pytest

        @pytest.fixture(autouse=True)
        def jumping(monkeypatch):
            hours = itertools.count(time.time(), 3600)
            monkeypatch.setattr(time, "time", lambda: next(hours))
        """,
    )
    mesh.flow(
        "clock/timing",
        """
        timeout: 60s
        steps:
          - {action: delay, config: {duration: 10ms}, timeout: 50s}
          - action: t.script
            config: {say: call, answers: [{n: 1}, {n: 2}]}
            eventually: {within: 40s, every: 10ms}
            assert: [n == 2]
          - {action: t.note, timeout: 30s, retry: {delay: 10ms}, config: {say: end}}
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["call", "call", "end"] == mesh.journal


SLOW = {
    "delay": "{action: delay, config: {duration: 1h}",
    "http_request": '{action: http_request, config: {method: GET, url: "@site/hang", timeout: 1h}',
    "wait_for-http": '{action: wait_for, config: {type: http, url: "@site/", status_code: 418, timeout: 1h}',
    "wait_for-hang": '{action: wait_for, config: {type: http, url: "@site/hang", timeout: 1h}',
    "wait_for-tcp": "{action: wait_for, config: {type: tcp, host: 127.0.0.1, port: @closed, timeout: 1h}",
    "eventually": "{action: log, config: {message: x}, assert: [1 == 2], eventually: {within: 1h, every: 1h}",
    "retry": "{action: log, config: {message: x}, assert: [1 == 2], retry: {delay: 1h}",
}


@pytest.fixture
def slow_step(request: pytest.FixtureRequest, site: Site, closed_port: int) -> str:
    """A step that takes an hour, its last brace left open."""
    return SLOW[request.param].replace("@site", site.url).replace("@closed", str(closed_port))


@pytest.mark.parametrize("slow_step", SLOW, indirect=True)
@pytest.mark.parametrize("bound", ["step", "flow"])
def test_everything_that_waits_respects_the_smallest_deadline(mesh: Workbench, slow_step: str, bound: str) -> None:
    of_flow, of_step = ("1h", "400ms") if bound == "step" else ("400ms", "1h")
    mesh.flow("timing", f"timeout: {of_flow}\nsteps: [{slow_step}, timeout: {of_step}}}]")

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert _seconds(run.cause) < 60


@pytest.mark.parametrize("slow_step", SLOW, indirect=True)
def test_everything_that_waits_can_be_interrupted(mesh: Workbench, slow_step: str) -> None:
    mesh.flow(
        "timing",
        f"""
        steps:
          - {{action: t.note, config: {{say: started}}}}
          - {slow_step}}}
        teardown: [{{action: t.note, config: {{say: cleaned}}}}]
        """,
    )
    process = mesh.start()
    mesh.wait_for_entry("started")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)

    run = mesh.finish(process)

    assert 2 == run.exit_code
    assert ["started", "cleaned"] == mesh.journal


@pytest.mark.parametrize("slow_step", SLOW, indirect=True)
def test_everything_that_waits_can_be_ended_by_pytest_timeout(mesh: Workbench, slow_step: str) -> None:
    pytest.importorskip("pytest_timeout")
    mesh.flow("timing", f"steps: [{slow_step}}}]\nteardown: [{{action: t.note, config: {{say: cleaned}}}}]")

    run = mesh.run("--timeout=1", "--timeout-method=signal", "-o", "timeout_func_only=true")

    assert {"failed": 1} == run.outcomes
    assert "Timeout" in run.text
    assert ["cleaned"] == mesh.journal


@pytest.mark.parametrize("duration", ["100ms", "0.5s", "1m30s", "2h", "30", "1.5", '"30"'])
def test_durations_are_written_as_people_write_them(mesh: Workbench, duration: str) -> None:
    mesh.flow("durations", f"timeout: {duration}\nsteps: [{{action: t.note, config: {{say: x}}}}]")

    assert {"passed": 1} == mesh.run().outcomes


def test_a_bare_number_is_seconds(mesh: Workbench) -> None:
    mesh.flow(
        "durations",
        "steps: [{action: delay, config: {duration: 0.2}, assert: [duration_ms >= 200, duration_ms < 60000]}]",
    )

    assert {"passed": 1} == mesh.run().outcomes


@pytest.mark.parametrize(
    "body",
    [
        "timeout: soon\nsteps: [{action: t.note}]",
        "steps: [{action: t.note, timeout: 10 parsecs}]",
        "steps: [{action: t.note, timeout: -1s}]",
        "steps: [{action: t.note, retry: {delay: 1x}}]",
        "steps: [{action: t.note, eventually: {within: long}}]",
        "steps: [{action: t.note, eventually: {within: 5s, every: now}}]",
        "steps: [{action: delay, config: {duration: a while}}]",
        "steps: [{action: t.note, assert: ['status ==']}]",
        "steps: [{action: t.note, when: '=='}]",
        "steps: [{action: t.note, eventually: {within: 1s, fail_if: ['((']}}]",
        "steps: [{action: t.note, retry: {retry_on: ['status >=']}}]",
        "steps: [{action: t.note, config: {say: '${a b}'}}]",
        "steps: [{action: t.note, output: {x: '$.['}}]",
        "env: {A: '${'}\nsteps: [{action: t.note}]",
        "output: {token: '${login.'}\nsteps: [{action: t.note}]",
    ],
)
def test_a_bad_duration_or_expression_is_found_at_collection(mesh: Workbench, body: str) -> None:
    mesh.flow("bad", f"setup: [{{action: t.note, config: {{say: never}}}}]\n{body}")

    run = mesh.run()

    assert {"errors": 1} == run.outcomes
    assert "bad.yaml" == mesh.place(run.cause)[0]
    assert [] == mesh.journal


@pytest.mark.usefixtures("no_process_left")
def test_an_unknown_action_of_a_plugin_that_was_never_started_is_an_error_at_setup(mesh: Workbench) -> None:
    mesh.plugin("greeter")
    mesh.flow(
        "greeting",
        """
        setup: [{action: t.note, config: {say: never}}]
        steps:
          - id: greet
            action: greeter.helo
        """,
    )
    mesh.flow("good", "steps: [{action: greeter.hello, assert: ['greeting == \"hi\"']}]")

    run = mesh.run()

    assert {"errors": 1, "passed": 1} == run.outcomes
    assert "setup" == run.problems[0].when
    assert "greeter.helo" in run.cause
    assert "greeter.hello" in run.problem
    assert ("greeting.yaml", mesh.line("greeting.yaml", "greeter.helo")) == mesh.place(run.cause)[:2]
    assert [] == mesh.journal


# --- on_error and error steps -------------------------------------------------------------------------------


def test_on_error_continue_records_the_failure_and_goes_on(mesh: Workbench) -> None:
    mesh.flow(
        "continuing",
        """
        steps:
          - {id: optional, on_error: continue, action: t.script, config: {say: optional, answers: [broken]}}
          - {action: t.note, config: {say: next}}
        """,
    )

    run = mesh.run("-v")

    assert "1 passed" in run.text
    assert [] == run.problems
    assert ["optional", "next"] == mesh.journal
    assert re.search(r"optional.*failed, continued", run.text)
    assert run.continued


@pytest.mark.parametrize("on_error", ["", "on_error: fail"], ids=["default", "word"])
def test_on_error_fail_ends_the_steps(mesh: Workbench, on_error: str) -> None:
    mesh.flow(
        "failing",
        f"""
        steps:
          - action: t.script
            config: {{say: call, answers: [broken]}}
            {on_error}
          - {{action: t.note, config: {{say: never}}}}
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "the order is broken" in run.cause
    assert ["call"] == mesh.journal


@pytest.mark.parametrize(
    ("on_error", "outcome", "rest"),
    [
        ("error_steps: [@tell]", "failed", []),
        ("on_error: {action: continue, error_steps: [@tell]}", "passed", ["next"]),
        ("on_error: continue, error_steps: [@tell]", "passed", ["next"]),
    ],
    ids=["fail", "mapping", "continue"],
)
def test_error_steps_run_when_the_step_failed_and_see_the_error(
    mesh: Workbench, on_error: str, outcome: str, rest: list[str]
) -> None:
    tell = '{action: t.note, config: {say: "${error.code}: ${error.message}"}}'
    mesh.flow(
        "telling",
        f"""
        steps:
          - {{action: t.script, config: {{say: call, answers: [broken]}},
             retry: {{max_attempts: 2, delay: 10ms}}, {on_error.replace("@tell", tell)}}}
          - {{action: t.note, config: {{say: next}}}}
        """,
    )

    run = mesh.run()

    assert 1 == run.outcomes[outcome]
    assert ["call", "call", "BROKEN: the order is broken", *rest] == mesh.journal


def test_error_steps_do_not_run_when_the_step_passed(mesh: Workbench) -> None:
    mesh.flow(
        "telling",
        "steps: [{action: t.note, config: {say: x}, error_steps: [{action: t.note, config: {say: no}}]}]",
    )

    mesh.run()

    assert ["x"] == mesh.journal


def test_the_cause_stays_on_top_when_an_error_step_fails_too(mesh: Workbench) -> None:
    mesh.flow(
        "telling",
        """
        steps:
          - id: pay
            action: t.script
            config: {say: pay, answers: [broken]}
            error_steps: [{id: tell, action: t.script, config: {say: tell, answers: [refused]}}]
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert '"pay"' in run.cause
    assert "the order is broken" in run.cause
    assert "tell" in run.problem


# --- phases -------------------------------------------------------------------------------------------------


def test_setup_runs_after_the_fixtures_and_teardown_before_they_go_down(mesh: Workbench) -> None:
    mesh.flow(
        "phases",
        """
        fixtures: [house]
        setup: [{action: t.note, config: {say: setup}}]
        steps: [{action: t.note, config: {say: step}}]
        teardown: [{action: t.note, config: {say: "teardown with ${fixtures.house.rooms} rooms"}}]
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["fixture up", "setup", "step", "teardown with 3 rooms", "fixture down"] == mesh.journal


@pytest.mark.parametrize(
    ("phase", "when", "outcomes"),
    [
        ("setup", "setup", {"errors": 1}),
        ("steps", "call", {"failed": 1}),
        ("teardown", "teardown", {"passed": 1, "errors": 1}),
    ],
)
def test_reports_tell_an_error_from_a_failure(mesh: Workbench, phase: str, when: str, outcomes: dict[str, int]) -> None:
    body = dict.fromkeys(("setup", "steps", "teardown"), "[{action: t.note, config: {say: x}}]")
    body[phase] = "[{id: wrong, action: t.note, config: {n: 1}, assert: [n == 2]}]"
    mesh.flow("phases", "\n".join(f"{name}: {steps}" for name, steps in body.items()))

    run = mesh.run()

    assert outcomes == run.outcomes
    assert [when] == [report.when for report in run.problems]
    assert '"wrong" (t.note) failed' in run.cause


def test_a_failed_setup_keeps_the_steps_from_running_but_not_the_teardown(mesh: Workbench) -> None:
    mesh.flow(
        "phases",
        """
        fixtures: [house]
        setup:
          - {action: t.script, config: {say: setup, answers: [broken]}}
          - {action: t.note, config: {say: no more setup}}
        steps: [{action: t.note, config: {say: no step}}]
        teardown: [{action: t.note, config: {say: teardown}}]
        """,
    )

    run = mesh.run()

    assert {"errors": 1} == run.outcomes
    assert ["fixture up", "setup", "teardown", "fixture down"] == mesh.journal


def test_nothing_of_the_flow_runs_when_a_fixture_failed(mesh: Workbench) -> None:
    mesh.flow(
        "sub/phases",
        """
        fixtures: [ruin]
        setup: [{action: t.note, config: {say: setup}}]
        steps: [{action: t.note, config: {say: step}}]
        teardown: [{action: t.note, config: {say: teardown}}]
        """,
    )
    mesh.file("sub/conftest.py", "import pytest\n\n@pytest.fixture\ndef ruin():\n    raise OSError('no ground')\n")

    run = mesh.run()

    assert {"errors": 1} == run.outcomes
    assert "no ground" in run.text
    assert [] == mesh.journal


@pytest.mark.parametrize(
    "step",
    [
        "{action: t.script, config: {say: step, answers: [broken]}}",
        "{action: t.script, config: {say: step, answers: [bug]}}",
        "{action: t.note, config: {say: step}, assert: [1 == 2]}",
        "{action: t.note, config: {say: step}, output: {x: $.nothing}}",
    ],
    ids=["error", "bug", "assertion", "output"],
)
def test_teardown_runs_after_a_failed_step(mesh: Workbench, step: str) -> None:
    mesh.flow("phases", f"steps: [{step}]\nteardown: [{{action: t.note, config: {{say: teardown}}}}]")

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert ["step", "teardown"] == mesh.journal


def test_an_exception_in_a_users_action_is_a_failure_that_names_it(mesh: Workbench) -> None:
    mesh.flow("phases", "steps: [{id: pay, action: t.script, config: {say: step, answers: [bug]}}]")

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "ZeroDivisionError" in run.cause
    assert "a bug in the action" in run.cause


def test_teardown_runs_after_the_flows_time_is_up(mesh: Workbench) -> None:
    mesh.flow(
        "phases",
        """
        timeout: 2s
        fixtures: [house]
        steps: [{action: delay, config: {duration: 1h}}]
        teardown:
          - {action: delay, config: {duration: 50ms}}
          - {action: t.note, config: {say: teardown}}
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert ["fixture up", "teardown", "fixture down"] == mesh.journal


@pytest.mark.parametrize("phase", ["setup", "steps"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_teardown_runs_when_the_session_is_ended_by_a_signal(
    mesh: Workbench, phase: str, number: signal.Signals
) -> None:
    steps = {
        "setup": "[{action: t.note, config: {say: setup}}]",
        "steps": "[{action: t.note, config: {say: no step}}]",
    }
    steps[phase] = "[{action: t.sleep, config: {say: waiting, seconds: 600}}]"
    mesh.flow(
        "a_first",
        f"""
        fixtures: [house]
        setup: {steps["setup"]}
        steps: {steps["steps"]}
        teardown: [{{action: t.note, config: {{say: teardown}}}}]
        """,
    )
    mesh.flow("b_second", "steps: [{action: t.note, config: {say: not run any more}}]")
    process = mesh.start()
    mesh.wait_for_entry("waiting")
    process.send_signal(number)

    run = mesh.finish(process)

    assert 2 == run.exit_code
    assert ["teardown", "fixture down"] == mesh.journal[-2:]
    assert "INTERNALERROR" not in run.text + run.errors


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize(
    ("args", "number"),
    [
        ((), signal.SIGINT),
        ((), signal.SIGTERM),
        (("--timeout=3", "--timeout-method=signal", "-o", "timeout_func_only=true"), None),
        (("-n1",), signal.SIGINT),
        (("-n1",), signal.SIGKILL),
    ],
    ids=[
        "ctrl-c", "sigterm", "timeout-signal", "xdist-ctrl-c", "xdist-sigkill",
    ],
)  # fmt: skip
def test_no_plugin_outlives_a_run_however_it_ends(
    mesh: Workbench, args: tuple[str, ...], number: signal.Signals | None
) -> None:
    mesh.plugin("greeter")
    mesh.flow(
        "phases",
        """
        setup: [{action: greeter.hello}]
        steps: [{action: t.sleep, config: {say: waiting, seconds: 600}}]
        """,
    )
    process = mesh.start(*args)
    mesh.wait_for_entry("waiting")
    if number is not None:
        process.send_signal(number)

    assert 0 != mesh.finish(process).exit_code


@pytest.mark.parametrize("answer", ["{n: 1}", "broken"], ids=["passed", "failed"])
def test_the_handler_of_sigterm_that_was_there_is_put_back(mesh: Workbench, answer: str) -> None:
    mesh.file(
        "sub/conftest.py",
        """
        import signal

        import pytest

        def mine(number, frame):
            raise AssertionError("never called")

        before = signal.signal(signal.SIGTERM, mine)

        def pytest_unconfigure():
            signal.signal(signal.SIGTERM, before)

        @pytest.fixture
        def my_handler():
            return mine

        @pytest.hookimpl(optionalhook=True)
        def pytest_testmesh_actions(registry):
            registry.add("t.ours", lambda *args: {"ours": signal.getsignal(signal.SIGTERM) is not mine})
        """,
    )
    mesh.flow(
        "sub/a_flow",
        f"""
        steps:
          - {{action: t.ours, assert: [ours]}}
          - {{id: end, action: t.script, config: {{say: end, answers: [{answer}]}}}}
        """,
    )
    mesh.file(
        "sub/test_after.py",
        """
        import signal

        def test_after(my_handler):
            assert signal.getsignal(signal.SIGTERM) is my_handler
        """,
    )

    run = mesh.run("sub/a_flow.yaml", "sub/test_after.py")

    expected = {"passed": 2} if answer != "broken" else {"passed": 1, "failed": 1}
    assert expected == run.outcomes
    assert ["end"] == mesh.journal


def test_a_flow_runs_outside_the_main_thread(mesh: Workbench) -> None:
    mesh.flow("phases", "steps: [{action: t.note, config: {say: x}}]")
    codes = []
    thread = threading.Thread(target=lambda: codes.append(mesh.run().exit_code))
    thread.start()
    thread.join(60)

    assert [0] == codes
    assert ["x"] == mesh.journal


def test_teardown_has_a_time_budget_of_its_own(mesh: Workbench) -> None:
    mesh.flow(
        "phases",
        """
        timeout: 2s
        steps: [{action: t.note, config: {say: step}}]
        teardown:
          - {action: t.note, config: {say: teardown}}
          - {id: hanging, action: delay, config: {duration: 1h}}
        """,
    )

    run = mesh.run()

    assert {"passed": 1, "errors": 1} == run.outcomes
    assert '"hanging"' in run.cause
    assert _seconds(run.cause) < 60
    assert ["step", "teardown"] == mesh.journal


def test_teardown_goes_on_past_a_failing_step_and_reports_each_failure(mesh: Workbench) -> None:
    mesh.flow(
        "phases",
        """
        steps: [{action: t.note, config: {say: step}}]
        teardown:
          - {id: one, action: t.script, config: {say: one, answers: [broken]}}
          - {id: two, action: t.note, config: {say: two}, assert: [1 == 2]}
          - {id: three, action: t.note, config: {say: three}}
        """,
    )

    run = mesh.run()

    assert {"passed": 1, "errors": 1} == run.outcomes
    assert ["step", "one", "two", "three"] == mesh.journal
    assert '"one" (t.script) failed' in run.cause
    assert '"two" (t.note) failed' in run.problem
    assert "1 == 2" in run.problem


def test_a_failing_step_and_a_failing_teardown_are_both_reported(mesh: Workbench) -> None:
    mesh.flow(
        "phases",
        """
        steps: [{id: pay, action: t.note, assert: [1 == 2]}]
        teardown: [{id: sweep, action: t.note, assert: [3 == 4]}]
        """,
    )

    run = mesh.run()

    assert {"failed": 1, "errors": 1} == run.outcomes
    call, teardown = run.problems
    assert '"pay"' in call.longreprtext
    assert '"sweep"' in teardown.longreprtext


def test_a_teardown_step_that_refers_to_a_step_that_did_not_complete_is_skipped_with_that_reason(
    mesh: Workbench,
) -> None:
    mesh.flow(
        "phases",
        """
        steps:
          - {id: create, action: t.script, config: {say: create, answers: [broken]}}
          - {id: ship, action: t.note, config: {say: ship}}
        teardown:
          - {id: remove, action: t.note, config: {say: "remove ${create.id}"}}
          - {id: unship, action: t.note, config: {say: "unship ${ship.say}"}}
          - {id: sweep, action: t.note, config: {say: sweep}}
        """,
    )

    run = mesh.run("-v")

    assert {"failed": 1} == run.outcomes
    assert '"create"' in run.cause
    assert ["create", "sweep"] == mesh.journal
    assert re.search(r"remove\b.*skipped?.*create", run.text)
    assert re.search(r"unship\b.*skipped?.*ship", run.text)


@pytest.mark.parametrize(("wrong", "status"), [("1 == 1", "passed"), ("1 == 2", "failed")], ids=["passed", "failed"])
@pytest.mark.parametrize("phase", ["setup", "steps"])
def test_flow_status_tells_the_teardown_how_it_went(mesh: Workbench, phase: str, wrong: str, status: str) -> None:
    steps = {"setup": "[{action: t.note}]", "steps": "[{action: t.note}]"}
    steps[phase] = f"[{{action: t.note, assert: [{wrong}]}}]"
    mesh.flow(
        "phases",
        f"""
        setup: {steps["setup"]}
        steps: {steps["steps"]}
        teardown: [{{action: t.note, config: {{say: "${{FLOW_STATUS}}"}}}}]
        """,
    )

    mesh.run()

    assert status == mesh.journal[-1]


def test_a_failure_that_was_continued_leaves_the_flow_status_passed(mesh: Workbench) -> None:
    mesh.flow(
        "phases",
        """
        steps: [{action: t.note, on_error: continue, assert: [1 == 2]}, {action: t.note}]
        teardown: [{action: t.note, config: {say: "${FLOW_STATUS}"}}]
        """,
    )

    mesh.run()

    assert "passed" == mesh.journal[-1]
