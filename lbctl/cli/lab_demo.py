"""`lbctl lab demo`: the main job told from beginning to end, each step really done and then verified.

Nothing here is known beforehand: what is shown is what the commands printed, and a step that does not come out as it
should ends the demo with exit status 1 and the daemons' last words.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

import lbctl
from lbctl.lab.cluster import Lab, LabError, sweep
from lbctl.lab.measure import Mode, ProbeResult

_SCHEMA = "lbctl.io/lab-demo/v1"
_SERVICE_FILE = "nginx.yaml"
_MANIFESTS = ("nodes.yaml", "layer2.yaml", _SERVICE_FILE)
_VIP = "192.168.3.170"
_PORT = 8080
_URL = f"http://{_VIP}:{_PORT}/"
_SERVICE = "nginx-svc"
_PATIENCE = 20.0
_LINES_SHOWN = 24
_T = TypeVar("_T")
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")


class StepFailed(Exception):
    """A step did not come out as it should; the text says what was expected and what was there."""


def run(*, as_json: bool, configs: Path | None = None) -> bool:
    """Runs it; whether every step was verified. Raises LabError when the lab itself cannot be built."""
    console = Console(width=min(80, Console().width), highlight=False, quiet=as_json)
    sweep()
    lab = Lab(f"demo-{os.getpid()}")
    demo = Demo(console, lab, configs or _configs())
    try:
        demo.tell()
    except StepFailed as failed:
        demo.report["error"] = str(failed)
        Console(stderr=True, highlight=False).print(
            Text.assemble(("This did not work: ", "bold red"), str(failed)), soft_wrap=True
        )
    finally:
        # Once more, for a signal that came in the instant between building and the block that removes it.
        lab.down()
    if as_json:
        print(json.dumps({"schema": _SCHEMA, **demo.report}, indent=2))
    return "error" not in demo.report


def _configs() -> Path:
    """The examples: of the working directory, or of the checkout that this lbctl runs from."""
    for folder in (Path("configs"), Path(lbctl.__file__).parent.parent / "configs"):
        if (folder / _MANIFESTS[-1]).is_file():
            return folder
    raise LabError("the examples (configs/) are not here: run the demo inside a checkout of lbctl")


class Demo:
    """The steps, in order. `report` holds what was found, for `-o json`."""

    def __init__(self, console: Console, lab: Lab, configs: Path) -> None:
        self.report: dict[str, Any] = {}
        self._console = console
        self._lab = lab
        self._configs = configs
        self._steps = 0

    def tell(self) -> None:
        """All of it. Raises StepFailed."""
        begin = time.monotonic()
        self._console.print()
        self._console.print(
            Panel(
                "A Service of type LoadBalancer on machines without a cloud: it gets an\n"
                "address, the network learns it, clients reach it, a node fails.",
                title=f"[bold]lbctl {lbctl.__version__}[/]",
                border_style="cyan",
                padding=(0, 2),
            )
        )
        self._step("A cluster of network namespaces on this machine")
        self._show(self._drawing())
        with self._built():
            try:
                self._apply()
                self._address()
                self._clients()
                owner = self._where_is()
                heir = self._cut(owner)
                self._take_out(owner)
                self._heal(owner, heir)
            except (StepFailed, LabError, subprocess.TimeoutExpired) as error:
                self._last_words()
                raise StepFailed(str(error)) from error
        seconds = time.monotonic() - begin
        self.report["seconds"] = round(seconds, 1)
        self._console.print(
            Rule(f"[bold green]All of it was verified; {seconds:.0f} s, and nothing is left behind[/]", style="green")
        )
        self._console.print(
            "Yours to play with: [bold]lbctl lab up[/], then [bold]lbctl lab --help[/]", justify="center"
        )

    # -- steps --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _built(self) -> Iterator[None]:
        begin = time.monotonic()
        waiting = self._console.status("starting the controller and the speakers")
        waiting.start()
        try:
            with self._lab:
                waiting.stop()
                count = len(self._lab.nodes)
                self._good(f"one controller and {count} speakers are ready after {time.monotonic() - begin:.1f} s")
                yield
        finally:
            waiting.stop()

    def _apply(self) -> None:
        self._step("The manifests: MetalLB's kinds and a Service, as they are")
        for file in _MANIFESTS:
            path = self._configs / file
            if not path.is_file():
                raise StepFailed(f"{path} is missing")
            self._command("lab", f"lbctl lab apply {os.path.relpath(path)}")
            self._lab.apply(path)
            if file != "nodes.yaml":
                self._show(self._yaml(path.read_text()))

    def _yaml(self, text: str) -> Text:
        """The manifest without its comments, and not all of a long one."""
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        shown = Syntax("", "yaml", theme="ansi_dark").highlight("\n".join(lines[:_LINES_SHOWN]))
        shown.rstrip()
        left = len(lines) - _LINES_SHOWN
        return shown + Text(f"\n({left} lines more)", style="dim") if left > 0 else shown

    def _address(self) -> None:
        self._step("The controller gives the Service an address from the pool")
        row = self._eventually(self._service_row, f"the Service {_SERVICE} did not get an address")
        if row["addresses"] != [_VIP]:
            raise StepFailed(f"the Service got {row['addresses']}, and {_VIP} is the first of the pool")
        self._eventually(lambda: self._ask("n1")["status"] == 0, "no node announced the address")
        self._run("controller", ["lbctl", "services"])
        self.report["service"] = {"name": _SERVICE, "address": _VIP}
        self._good(f"{_SERVICE} has {_VIP}")

    def _clients(self) -> None:
        self._step("A client reaches it, and different backends answer")
        self._command("client", f"curl {_URL}")
        answers: list[str] = []
        # Backends are chosen at random: six answers may come from the same one, thirty do not.
        while len(answers) < 6 or (len(_backends(answers)) < 2 and len(answers) < 30):
            answer = self._curl()
            if answer is None:
                raise StepFailed(f"{_URL} did not answer the client")
            answers.append(answer)
            self._show(self._coloured(answer))
        by = _backends(answers)
        if len(by) < 2:
            raise StepFailed(f"{len(answers)} requests were all answered by {', '.join(by)}")
        self.report["backends"] = by
        self._good(f"{len(answers)} requests, answered by {', '.join(by)}")

    def _where_is(self) -> str:
        self._step("Which node is it? One command, three sides: planned, said, seen")
        owner = self._ask_and_show("n1")
        self.report["owner"] = owner
        self._good(f"{owner} has {_VIP}: its Ethernet address answered the client's own question")
        return owner

    def _cut(self, owner: str) -> str:
        self._step(f"The cable of {owner} is pulled while a client asks every 5 ms")
        witness = next(node for node in self._lab.nodes if node != owner)
        with self._lab.probe(_VIP, _PORT, mode=Mode.HTTP) as probe:
            probe.wait("ready")
            self._command("lab", f"lbctl lab cut {owner}")
            self._lab.cut(owner)
            probe.wait("silent")
            self._show(Text("the client hears nothing ...", style="yellow"))
            back = probe.wait("back")
            self._show(Text(f"answers again, after {back['gap_ms']:.0f} ms", style="green"))
            heir = self._ask_and_show(witness, no_longer=owner)
            result = probe.stop()
        assert result.gap_ms is not None
        self._show(_gap_drawing(result, self._console.encoding))
        if heir == owner or back["gap_ms"] > 5000:
            raise StepFailed(f"{heir} has it after {back['gap_ms']:.0f} ms")
        self.report["new_owner"] = heir
        self.report["gap_ms"] = result.gap_ms
        self.report["prober_late_ms"] = result.late_ms
        self._good(f"{heir} took over from {owner}; the client was without an answer for {result.gap_ms:.0f} ms")
        return heir

    def _take_out(self, node: str) -> None:
        self._step(f"The web server behind {node} is out of reach too: its endpoint is unready")
        documents = list(yaml.safe_load_all((self._configs / _SERVICE_FILE).read_text()))
        for endpoint in (each for document in documents for each in document.get("endpoints", ())):
            if endpoint.get("nodeName") == node:
                endpoint["conditions"] = {"ready": False}
        self._command("lab", f"lbctl lab apply {_SERVICE_FILE}    # in Kubernetes this happens by itself")
        self._lab.apply_text(_SERVICE_FILE, yaml.safe_dump_all(documents, sort_keys=False))
        others = [each for each in self._lab.nodes if each != node]
        by = self._eventually(lambda: self._answered_by(others), f"not every request is answered by {others}")
        self._good(f"{sum(by.values())} requests, all answered, by {', '.join(by)}")

    def _heal(self, owner: str, heir: str) -> None:
        self._step("The cable is back: one owner, and every backend answers again")
        self._command("lab", f"lbctl lab heal {owner}")
        self._lab.heal(owner)
        self._command("lab", f"lbctl lab apply {os.path.relpath(self._configs / _SERVICE_FILE)}")
        self._lab.apply(self._configs / _SERVICE_FILE)
        nodes = list(self._lab.nodes)
        by = self._eventually(lambda: self._answered_by(nodes), "not every backend answers again")
        last = self._eventually(self._settled, "the speakers do not agree on one owner")
        self.report["owner_after_healing"] = last
        kept = "kept it" if last == heir else "has it"
        self._good(f"{last} {kept}, answers come from {', '.join(by)}")

    # -- asking the cluster -------------------------------------------------------------------------------------------

    def _service_row(self) -> dict[str, Any] | None:
        done = self._lab.exec("controller", ["lbctl", "services", "-o", "json"])
        if done.returncode != 0:
            return None
        rows = json.loads(done.stdout)["services"]
        return next((row for row in rows if row["name"] == _SERVICE and row["addresses"]), None)

    def _ask(self, via: str) -> dict[str, Any]:
        """What where-is answers to the client, by the word of the speaker on `via`."""
        argv = ["lbctl", "where-is", _VIP, "--via", self._lab.host(via).ipv4, "-o", "json"]
        answer: dict[str, Any] = json.loads(self._lab.exec("client", argv).stdout)
        return answer

    def _ask_and_show(self, via: str, *, no_longer: str | None = None) -> str:
        """The verified owner: said and seen agree, and the Ethernet address that answered is the owner's own."""

        def verified() -> str | None:
            return _verified_owner(self._lab, self._ask(via), no_longer)

        owner = self._eventually(verified, "said and seen do not agree on an owner")
        self._run("client", ["lbctl", "where-is", _VIP, "--via", self._lab.host(via).ipv4])
        return owner

    def _settled(self) -> str | None:
        owners = {_verified_owner(self._lab, self._ask(via), None) for via in self._lab.nodes}
        return owners.pop() if len(owners) == 1 else None

    def _curl(self) -> str | None:
        """What the client was answered; None when it was not."""
        done = self._lab.exec("client", ["curl", "-sS", "--max-time", "1", _URL])
        return done.stdout.strip() if done.returncode == 0 else None

    def _answered_by(self, expected: Sequence[str]) -> dict[str, int] | None:
        """Backends of a row of requests: when all were answered, and by exactly these."""
        answers: list[str] = []
        while (len(answers) < 30 and len(_backends(answers)) < len(expected)) or len(answers) < 8:
            answer = self._curl()
            if answer is None:
                return None
            answers.append(answer)
        by = _backends(answers)
        return by if list(by) == sorted(expected) else None

    def _eventually(self, condition: Callable[[], _T | None], otherwise: str) -> _T:
        """The first true value; StepFailed with `otherwise` when there is none in time. Each try is a command's run."""
        deadline = time.monotonic() + _PATIENCE
        with self._console.status("waiting"):
            while not (value := condition()):
                if time.monotonic() > deadline:
                    raise StepFailed(f"{otherwise} within {_PATIENCE:.0f} s")
        return value

    # -- showing ------------------------------------------------------------------------------------------------------

    def _step(self, title: str) -> None:
        self._steps += 1
        self._console.print()
        self._console.print(Rule(f"[bold]{self._steps}  {title}[/]", align="left", style="cyan"))

    def _command(self, where: str, words: str) -> None:
        self._console.print(Text.assemble((f"{where}$ ", "dim"), (words, "bold")))

    def _run(self, host: str, argv: Sequence[str]) -> None:
        """Runs a command as a person would, and shows what it printed."""
        self._command(host, " ".join(argv))
        colour = {"FORCE_COLOR": "1"} if self._console.color_system else {"NO_COLOR": "1"}
        done = self._lab.exec(host, argv, env=colour)
        if done.returncode != 0:
            raise StepFailed(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
        # As wide as it likes: up to 80 columns, which leaves no room for an indent.
        self._show(Text.from_ansi(done.stdout.rstrip("\n")), indent=0)

    def _show(self, what: Text, *, indent: int = 2) -> None:
        for line in what.split("\n"):
            line.rstrip()
            self._console.print(Text(" " * indent if line else "") + line, soft_wrap=True)

    def _good(self, words: str) -> None:
        mark = "✓" if "utf" in self._console.encoding else "ok:"
        self._console.print(Text.assemble((f"{mark} ", "bold green"), (words, "green")))

    def _coloured(self, words: str) -> Text:
        text = Text(words)
        for number, node in enumerate(self._lab.nodes):
            text.highlight_regex(rf"\b{node}\b", f"bold {_COLOURS[number % len(_COLOURS)]}")
        return text

    def _drawing(self) -> Text:
        plan = self._lab.topology
        left = [f"client .{plan.host('client').ipv4.split('.')[-1]}", "controller .102"]
        lines = []
        for number, (node, web) in enumerate(zip(plan.node_hosts, plan.web_hosts, strict=True)):
            who = left[number] if number < len(left) else ""
            segment = "-- 192.168.3.0/24 --" if number == 0 else ""
            wire = " --+" if who else "   |"
            middle = f"{segment:<20}" if segment else " " * 20
            lines.append(f"{who:>16}{wire}{middle}+-- {node.name:<3} .{node.ipv4.split('.')[-1]} --- web {web.ipv4}:80")
        return self._coloured("\n".join(lines))

    def _last_words(self) -> None:
        """What the daemons logged last: the place to begin looking."""
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        for host in ("controller", *self._lab.nodes):
            try:
                said = self._lab.log(host).splitlines()[-6:]
            except (LabError, OSError):
                continue
            errors.print(Text("\n".join([f"-- {host}", *said]), style="dim"))


def _backends(answers: Sequence[str]) -> dict[str, int]:
    """How many answers came from which backend."""
    return dict(sorted(Counter(answer.split()[0] for answer in answers).items()))


def _verified_owner(lab: Lab, answer: dict[str, Any], no_longer: str | None) -> str | None:
    """The owner, when where-is finds the sides in agreement, and the Ethernet address that answered is its own."""
    if answer["verdict"] != "owned" or len(answer["vips"]) != 1:
        return None
    (vip,) = answer["vips"]
    answered = {lab.node_of_mac(each["mac"]) for each in vip["seen"]["answers"]}
    owner: str | None = vip["owner"]
    return owner if answered == {owner} and owner != no_longer else None


def _gap_drawing(result: ProbeResult, encoding: str) -> Text:
    """Time from left to right, as the client saw it."""
    assert result.gap_ms is not None
    answer, silence = ("█", "░") if "utf" in encoding else ("#", ".")
    cell = 10.0
    while result.gap_ms / cell > 40:
        cell *= 2
    width = max(1, round(result.gap_ms / cell))
    return Text.assemble(
        (answer * 10, "green"),
        (silence * width, "red"),
        (answer * 10, "green"),
        f"  {result.gap_ms:.0f} ms",
        (f"  (one {silence} is {cell:.0f} ms)", "dim"),
    )
