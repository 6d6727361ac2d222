"""What bad input gets: one failing item that names file, line and cause; the flows beside it run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Workbench

STEP = "{id: greet, action: broken.hello, timeout: 2m}"


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A bad flow and what must be said about it.

    *flow* is the file, or the lines under ``flow:`` where it starts with two spaces. *cause* are words that
    the first line must hold, any case. *line* is a piece of the line that must be named. *plugin* makes the
    plugin ``broken`` wrong.
    """

    name: str
    flow: str | bytes
    cause: tuple[str, ...]
    line: str | None = None
    plugin: Callable[[Workbench], object] | None = None

    @property
    def content(self) -> str | bytes:
        """What stands in the file."""
        if isinstance(self.flow, bytes) or not self.flow.startswith("  "):
            return self.flow
        return f"flow:\n  name: bad\n{self.flow}"


def _steps(step: str) -> str:
    return f"  steps:\n    - {step}\n"


def _plugin(**parts: object) -> Callable[[Workbench], object]:
    return lambda mesh: mesh.plugin("broken", **parts)  # type: ignore[arg-type]


def _manifest(text: str) -> Callable[[Workbench], object]:
    return lambda mesh: mesh.file("plugins/broken/manifest.json", text)


def _bomb() -> str:
    levels = [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(["flow:", "  name: bad", "  env:", "    A: &a0 [lol]", *levels, "  steps: [{action: log}]"])


OUTSIDE = json.dumps(
    {"id": "broken", "name": "b", "version": "1.0.0", "type": "action", "entry_point": "../../evil.py"}
)
NO_ENTRY = json.dumps({"id": "broken", "name": "b", "version": "1.0.0", "type": "action"})

TABLE = [
    Bad(name="not YAML", flow="flow:\n  name: bad\n  steps: [unclosed\n", cause=("yaml",)),
    Bad(
        name="two documents",
        flow="flow:\n  name: bad\n  steps: [{action: log}]\n---\na: 1\n",
        cause=("document",),
    ),
    Bad(name="steps no list", flow="  steps: greet\n", cause=("steps", "list"), line="steps:"),
    Bad(name="step not a mapping", flow=_steps("just text"), cause=("mapping",), line="just text"),
    Bad(name="config not a mapping", flow=_steps("{action: log, config: hi}"), cause=("config", "mapping")),
    Bad(
        name="unknown key",
        flow=_steps("{action: t.note, assertt: ['1 == 1']}"),
        cause=("assertt", "did you mean assert?"),
        line="assertt",
    ),
    Bad(
        name="unknown key beside a placeholder",
        flow=_steps("{action: log, config: {message: '${FLOW_NAME}', levle: info}}"),
        cause=("unknown key levle", "did you mean level?"),
        line="levle",
    ),
    Bad(
        name="missing key beside a placeholder",
        flow=_steps("{action: log, config: {level: '${FLOW_NAME}'}}"),
        cause=("lacks the key message",),
    ),
    Bad(
        name="unknown key of the flow",
        flow="  stepz: []\n  steps: [{action: log}]\n",
        cause=("stepz", "steps"),
    ),
    Bad(
        name="duplicate key",
        flow="  steps: [{action: t.note}]\n  name: again\n",
        cause=("name",),
        line="again",
    ),
    Bad(name="wrong type", flow="  tags: 5\n  steps: [{action: t.note}]\n", cause=("tags",), line="tags"),
    Bad(name="wrong type of a name", flow="flow:\n  name: [x]\n  steps: [{action: t.note}]\n", cause=("name",)),
    Bad(name="no name", flow="flow:\n  steps: [{action: t.note}]\n", cause=("name",)),
    Bad(name="no action", flow=_steps("{id: greet}"), cause=("action",), line="greet"),
    Bad(name="alias bomb", flow=_bomb(), cause=("alias",)),
    Bad(
        name="10 MB file",
        flow=f"  description: {'x' * 10_500_000}\n  steps: [{{action: t.note}}]\n",
        cause=("mb|mib|large|big",),
    ),
    Bad(
        name="bad UTF-8",
        flow=b"flow:\n  name: bad\n  author: caf\xe9\n  steps: [{action: t.note}]\n",
        cause=("utf-8",),
        line=None,
    ),
    Bad(
        name="tabs",
        flow="flow:\n  name: bad\n\tsteps: [{action: t.note}]\n",
        cause=("tab|\\\\t",),
        line="steps",
    ),
    Bad(
        name="Python tag",
        flow=_steps('{action: t.note, config: {say: !!python/object/apply:os.mkdir ["pwned"]}}'),
        cause=("tag", "python"),
        line="pwned",
    ),
    Bad(name="empty steps", flow="  steps: []\n", cause=("steps",), line="steps"),
    Bad(name="no steps", flow="  description: nothing to do\n", cause=("steps",)),
    Bad(
        name="two steps of one id",
        flow="  steps:\n    - {id: greet, action: t.note}\n    - {id: greet, action: log}\n",
        cause=("greet",),
        line="log",
    ),
    Bad(
        name="two steps of one id in two phases",
        flow="  setup: [{id: greet, action: t.note}]\n  steps:\n    - {id: greet, action: t.count}\n",
        cause=("greet",),
        line="t.count",
    ),
    Bad(
        name="bad step id",
        flow=_steps("{id: Greet Me, action: t.note}"),
        cause=("greet me",),
        line="Greet Me",
    ),
    Bad(
        name="reserved step id",
        flow=_steps("{id: contains, action: t.note}"),
        cause=("contains",),
        line="contains",
    ),
    Bad(name="unknown action", flow=_steps("{action: t.notee}"), cause=("t.notee",), line="t.notee"),
    Bad(name="bad duration", flow=_steps("{action: t.note, timeout: soon}"), cause=("soon",), line="soon"),
    Bad(
        name="parametrize",
        flow="  marks: [{parametrize: [a, [1]]}]\n  steps: [{action: t.note}]\n",
        cause=("parametrize", "cases"),
        line="marks",
    ),
    Bad(
        name="bad condition",
        flow='  marks: [{skipif: {condition: "1 ==", reason: r}}]\n  steps: [{action: t.note}]\n',
        cause=("skipif|condition|1 ==",),
        line="marks",
    ),
    Bad(
        name="bad argument of a mark",
        flow="  marks: [{skip: {colour: red}}]\n  steps: [{action: t.note}]\n",
        cause=("colour",),
        line="marks",
    ),
    Bad(
        name="mark that is no mark",
        flow="  marks: [5]\n  steps: [{action: t.note}]\n",
        cause=("mark",),
        line="marks",
    ),
    Bad(
        name="tag that is a mark",
        flow="  tags: [skip]\n  steps: [{action: t.note}]\n",
        cause=("skip",),
        line="tags",
    ),
    Bad(
        name="expression",
        flow=_steps('{action: t.note, assert: ["status =="]}'),
        cause=("status ==",),
        line="status",
    ),
    Bad(name="condition of a step", flow=_steps('{action: t.note, when: "(1"}'), cause=(r"\(1",), line="when"),
    Bad(
        name="assertion without quotes",
        flow="  steps:\n    - action: t.note\n      assert:\n        - a ? b : c\n",
        cause=("quotes|mapping|text",),
        line="a ? b",
    ),
    Bad(
        name="assertion that is not a boolean",
        flow=_steps("{action: log, config: {message: x}, assert: [message]}"),
        cause=("boolean|true or false",),
        line="assert",
    ),
    Bad(
        name="template that never closes",
        flow=_steps('{action: t.note, config: {say: "${name"}}'),
        cause=(r"\$\{name",),
        line="${name",
    ),
    Bad(
        name=":: in the name",
        flow="flow:\n  name: a::b\n  steps: [{action: t.note}]\n",
        cause=("::",),
        line="a::b",
    ),
    Bad(
        name="line break in the name",
        flow='flow:\n  name: "a\\nb"\n  steps: [{action: t.note}]\n',
        cause=("line break|newline",),
        line="name",
    ),
    Bad(
        name="manifest missing",
        flow=_steps(STEP),
        cause=("broken",),
        line="greet",
        plugin=lambda mesh: mesh.file("plugins/broken/server.py", ""),
    ),
    Bad(
        name="manifest not JSON",
        flow=_steps(STEP),
        cause=("manifest.json",),
        line="greet",
        plugin=_manifest("{"),
    ),
    Bad(
        name="manifest without entry point",
        flow=_steps(STEP),
        cause=("manifest.json|entry_point",),
        line="greet",
        plugin=_manifest(NO_ENTRY),
    ),
    Bad(
        name="entry point outside",
        flow=_steps(STEP),
        cause=("entry_point|entry point", r"\.\./\.\./evil.py|outside"),
        line="greet",
        plugin=_manifest(OUTSIDE),
    ),
    Bad(
        name="entry point not there",
        flow=_steps(STEP),
        cause=("nowhere.py",),
        line="greet",
        plugin=_plugin(entry_point="nowhere.py"),
    ),
    Bad(
        name="exits at once",
        flow=_steps(STEP),
        cause=("exit", "3"),
        line="greet",
        plugin=_plugin(at_start="sys.exit(3)"),
    ),
    Bad(
        name="never listens",
        flow=_steps(STEP),
        cause=("broken", "healthy|listen|port|bound"),
        line="greet",
        plugin=_plugin(at_start="time.sleep(3600)"),
    ),
    Bad(
        name="answers non-JSON",
        flow=_steps(STEP),
        cause=("json",),
        line="greet",
        plugin=_plugin(at_execute='return self.answer(None, b"<html>")'),
    ),
    Bad(
        name="answers another shape",
        flow=_steps(STEP),
        cause=("list", "object"),
        line="greet",
        plugin=_plugin(at_execute="return self.answer([1, 2])"),
    ),
    Bad(
        name="answers success: false",
        flow=_steps(STEP),
        cause=("no element found",),
        line="greet",
        plugin=_plugin(
            at_execute="return self.answer("
            '{"success": False, "output": {}, "error": {"code": "E", "message": "No element found"}})'
        ),
    ),
    Bad(
        name="hangs in /execute",
        flow=_steps(STEP.replace("2m", "1s")),
        cause=("1s|1.00s|timed out|time",),
        line="greet",
        plugin=_plugin(at_execute="time.sleep(3600)"),
    ),
    Bad(
        name="dies in /execute",
        flow=_steps(STEP),
        cause=("exit|died|ended", "7"),
        line="greet",
        plugin=_plugin(at_execute="os._exit(7)"),
    ),
]


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name.replace(" ", "-"))
def test_bad_input_is_one_failing_item_that_names_file_line_and_cause(mesh: Workbench, bad: Bad) -> None:
    """The good flow beside it passes, no traceback, no process stays, and collecting alone exits with 0."""
    mesh.file("flows/bad.yaml", bad.content)
    mesh.flow("flows/good", "steps: [{action: t.note, config: {say: good}}]")
    if bad.plugin is not None:
        bad.plugin(mesh)

    collected = mesh.run("--collect-only", "-q")
    run = mesh.run()

    assert 0 == collected.exit_code, collected.text
    assert ["good"] == mesh.journal
    assert 1 == run.outcomes["passed"]
    assert 1 == len(run.problems), run.text
    file, line, cause = mesh.place(run.cause)
    assert "bad.yaml" == file
    for words in bad.cause:
        mesh.assert_says(words, cause)
    if bad.line is not None:
        assert mesh.line("flows/bad.yaml", bad.line) == line
    for text in (run.text, run.errors, collected.text, collected.errors):
        assert "Traceback" not in text
        assert "INTERNALERROR" not in text
    assert not (mesh.path / "pwned").exists()


def test_the_near_matches_of_an_unknown_action_are_named(mesh: Workbench) -> None:
    mesh.flow("bad", "steps: [{action: t.notee}]")

    assert "t.note" in mesh.run().problem.replace("t.notee", "")
