"""Completion scripts for bash, zsh and fish out of a description of the commands. Pure: values in, text out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: its names, what it takes (None = a flag), and one line of help."""

    names: tuple[str, ...]
    takes: Value | None
    help: str
    repeatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What may stand behind an option or as an argument: fixed words, or a kind of thing by its metavar."""

    metavar: str
    words: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        if self.words:
            return Kind.WORDS
        return {"DIR": Kind.FOLDERS, "PATH": Kind.FILES, "PATH...": Kind.FILES}.get(
            self.metavar, Kind.TARGETS if "VIP" in self.metavar else Kind.NOTHING
        )


class Kind(StrEnum):
    WORDS = "words"
    FILES = "files"
    FOLDERS = "folders"
    TARGETS = "targets"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A command by its words (`()` is lbctl itself), with its sub-commands (name, help), options and first argument."""

    words: tuple[str, ...]
    children: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    argument: Value | None


def _shell_words(words: Iterable[str]) -> str:
    return " ".join(words)


_TARGETS = "lbctl services -o name 2>/dev/null"
_HEAD = "# {shell} completion of lbctl, made by `lbctl completion {shell}`. Do not edit.\n"


def bash(nodes: tuple[Node, ...]) -> str:
    steps, takers, values, offers = [], [], [], []
    for node in nodes:
        path = " ".join(("lbctl", *node.words))
        steps += [f'            "{path} {name}") path="{path} {name}" ;;' for name, _ in node.children]
        taking = [(option, option.takes) for option in node.options if option.takes is not None]
        if taking:
            patterns = "|".join(f'"{path} {name}"' for option, _ in taking for name in option.names)
            takers.append(f"            {patterns}) skip=1 ;;")
        for option, value in taking:
            patterns = "|".join(f'"{path} {name}"' for name in option.names)
            reply = _bash_reply(value)
            values.append(f"        {patterns}) {reply}{'; ' if reply else ''}return ;;")
        names = _shell_words(name for option in node.options for name in option.names)
        offers.append(f'        "{path}")')
        offers.append(f'            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "{names}" -- "$cur"))')
        if node.children:
            words = _shell_words(name for name, _ in node.children)
            offers.append(f'            else COMPREPLY=($(compgen -W "{words}" -- "$cur"))')
        elif node.argument is not None and node.argument.kind is not Kind.NOTHING:
            offers.append(f"            else {_bash_reply(node.argument)}")
        offers.append("            fi ;;")
    lines = [
        _HEAD.format(shell="bash"),
        "_lbctl() {",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=lbctl word skip= i",
        "    COMPREPLY=()",
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        "        word=${COMP_WORDS[i]}",
        "        if [[ $skip ]]; then skip=; continue; fi",
        '        case "$path $word" in',
        *steps,
        *takers,
        "        esac",
        "    done",
        '    case "$path $prev" in',
        *values,
        "    esac",
        '    case "$path" in',
        *offers,
        "    esac",
        "}",
        "complete -F _lbctl lbctl",
    ]
    return "\n".join(lines) + "\n"


def _bash_reply(value: Value) -> str:
    match value.kind:
        case Kind.WORDS:
            return f'COMPREPLY=($(compgen -W "{_shell_words(value.words)}" -- "$cur"))'
        case Kind.FILES:
            return 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))'
        case Kind.FOLDERS:
            return 'compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur"))'
        case Kind.TARGETS:
            return f'COMPREPLY=($(compgen -W "$({_TARGETS})" -- "$cur"))'
        case Kind.NOTHING:
            return ""


def zsh(nodes: tuple[Node, ...]) -> str:
    lines = ["#compdef lbctl", _HEAD.format(shell="zsh")]
    for node in reversed(nodes):
        lines += [f"{_zsh_name(node.words)}() {{"]
        options = [_zsh_option(option) for option in node.options]
        if node.children:
            lines += ["    local line state"]
            specs = [*options, "'1: :->command'", "'*:: :->rest'"]
        else:
            specs = [
                *options,
                *([f"'*:{_zsh_word(node.argument.metavar)}:{_zsh_action(node.argument)}'"] if node.argument else []),
            ]
        lines += ["    _arguments -S " + (" \\\n        ".join(["", *specs]).lstrip() if specs else "")]
        if node.children:
            lines += ["    case $state in", "        command)", "            local -a commands=("]
            lines += [f"                '{name}:{_zsh_word(line)}'" for name, line in node.children]
            lines += ["            )", "            _describe command commands ;;", "        rest)"]
            lines += ["            case $line[1] in"]
            lines += [f"                {name}) {_zsh_name((*node.words, name))} ;;" for name, _ in node.children]
            lines += ["            esac ;;", "    esac"]
        lines += ["}", ""]
    lines += [
        "_lbctl_targets() {",
        f'    local -a targets=(${{(f)"$({_TARGETS})"}})',
        "    compadd -a targets",
        "}",
        "",
        'if [[ $funcstack[1] == _lbctl ]]; then _lbctl "$@"; else compdef _lbctl lbctl; fi',
    ]
    return "\n".join(lines) + "\n"


def _zsh_name(words: tuple[str, ...]) -> str:
    return "_" + "_".join(("lbctl", *words)).replace("-", "_")


def _zsh_word(text: str) -> str:
    return text.replace("\\", "").replace("'", "").replace("[", "(").replace("]", ")").replace(":", "\\:")


def _zsh_option(option: Option) -> str:
    value = (
        "" if option.takes is None else f":{_zsh_word(option.takes.metavar.strip('<>'))}:{_zsh_action(option.takes)}"
    )
    help_text = f"[{_zsh_word(option.help)}]"
    if option.repeatable:
        names = (
            "{" + ",".join(f"'*{name}'" for name in option.names) + "}"
            if len(option.names) > 1
            else f"'*'{option.names[0]}"
        )
        return f"{names}'{help_text}{value}'"
    if len(option.names) > 1:
        return f"'({' '.join(option.names)})'{{{','.join(option.names)}}}'{help_text}{value}'"
    return f"'{option.names[0]}{help_text}{value}'"


def _zsh_action(value: Value) -> str:
    match value.kind:
        case Kind.WORDS:
            return f"({_shell_words(value.words)})"
        case Kind.FILES:
            return "_files"
        case Kind.FOLDERS:
            return "_files -/"
        case Kind.TARGETS:
            return "_lbctl_targets"
        case Kind.NOTHING:
            return " "


def fish(nodes: tuple[Node, ...]) -> str:
    lines = [
        _HEAD.format(shell="fish"),
        "# True when the command line's words (options left out) begin with these.",
        "function __lbctl_at",
        "    set -l words (string match -v -- '-*' (commandline -opc)[2..])",
        "    set -l length (count $argv)",
        "    test $length -eq 0; and return 0",
        "    test $length -le (count $words); or return 1",
        "    set -l first $words[1..$length]",
        '    test "$first" = "$argv"',
        "end",
        "",
        "# True when they are exactly these, so that a sub-command comes next.",
        "function __lbctl_next",
        "    test (count (string match -v -- '-*' (commandline -opc)[2..])) -eq (count $argv); and __lbctl_at $argv",
        "end",
        "",
        "complete -c lbctl -f",
    ]
    for node in nodes:
        at = f"-n '__lbctl_at {' '.join(node.words)}'" if node.words else "-n __lbctl_next"
        below = f"-n '__lbctl_next {' '.join(node.words)}'" if node.words else "-n __lbctl_next"
        for name, line in node.children:
            lines.append(f"complete -c lbctl {below} -a {name} -d '{_fish_word(line)}'")
        if not node.children and node.argument is not None:
            lines += [f"complete -c lbctl {at} {_fish_value(node.argument)}"] * (node.argument.kind is not Kind.NOTHING)
        for option in node.options:
            flags = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = "" if option.takes is None else " " + _fish_taken(option.takes)
            lines.append(f"complete -c lbctl {at} {flags}{value} -d '{_fish_word(option.help)}'")
    return "\n".join(lines) + "\n"


def _fish_taken(value: Value) -> str:
    return "-r -F" if value.kind is Kind.FILES else f"-x {_fish_value(value)}".rstrip()


def _fish_value(value: Value) -> str:
    match value.kind:
        case Kind.WORDS:
            return f"-a '{_shell_words(value.words)}'"
        case Kind.FILES:
            return "-F"
        case Kind.FOLDERS:
            return "-a '(__fish_complete_directories)'"
        case Kind.TARGETS:
            return f"-a '({_TARGETS})'"
        case Kind.NOTHING:
            return ""


def _fish_word(text: str) -> str:
    return text.replace("\\", "").replace("'", "\\'")
