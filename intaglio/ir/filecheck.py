"""Running `// RUN:` lines inside this process.

The same lines run under `lit`, which starts a process for every command and takes a second for each. Here
`intaglio-opt` is a function call and FileCheck a library, and a test takes some milliseconds.

What is understood of lit and the shell: several RUN lines, continued by a backslash at the end; `%s` (the test),
`%S` (its folder), `%t` (a temporary path), `%%`; pipes, `&&`, `;`, `< file`, `> file`, `>> file`, `2> file`,
`2>&1`; quotes; and the commands `filecheck`, `not`, `cat`, `diff`, `true` besides those given to `run_test`.
"""

from __future__ import annotations

import difflib
import io
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import parse_argv_options
from filecheck.parser import Parser, pattern_for_opts

Command = Callable[[list[str], str], tuple[int, str, str]]
"""Takes arguments and standard input; returns exit code, standard output and standard error."""

_RUN = re.compile(r"RUN:(.*)")
_SUBSTITUTION = re.compile(r"%[sSt%]")
_OPERATORS = frozenset({"|", "&&", ";", "<", ">", ">>"})
_STDERR_TO_FILE, _STDERR_TO_STDOUT = "\0stderr-to-file", "\0stderr-to-stdout"


class FileCheckError(Exception):
    """A RUN line failed, or the test has none, or uses what this runner does not know."""


@dataclass(frozen=True)
class RunLine:
    """A command line of a test."""

    line: int
    """The one-based line it starts on."""

    text: str


def run_lines(text: str) -> list[RunLine]:
    """Return the RUN lines of a test, continued ones joined."""
    found: list[RunLine] = []
    continued = False
    for number, line in enumerate(text.split("\n"), start=1):
        if (match := _RUN.search(line)) is None:
            continue
        part = match[1].strip()
        more = part.endswith("\\")
        part = part.removesuffix("\\").strip()
        if continued:
            found[-1] = RunLine(found[-1].line, f"{found[-1].text} {part}")
        else:
            found.append(RunLine(number, part))
        continued = more
    return found


def run_test(path: Path, commands: Mapping[str, Command], temporary: Path) -> None:
    """Run the RUN lines of a test.

    Args:
        path: the test.
        commands: what the RUN lines may call, by name.
        temporary: the path that `%t` stands for; its folder exists.

    Raises:
        FileCheckError: a line failed; the message has the line, the command and what it wrote to standard error.
    """
    lines = run_lines(path.read_text(encoding="utf-8"))
    if not lines:
        raise FileCheckError(f"{path}: the test has no RUN line")
    shell = Shell(commands, {"%s": str(path), "%S": str(path.parent), "%t": str(temporary), "%%": "%"})
    for line in lines:
        code, out, err = shell.run(line.text)
        if code != 0:
            raise FileCheckError(f"{path}:{line.line}: exit code {code}: {line.text}\n{err}{out[-2000:]}")


class Shell:
    """The part of a shell that RUN lines need.

    Args:
        commands: what can be called besides the built-in commands.
        substitutions: text for `%s` and the like.
    """

    def __init__(self, commands: Mapping[str, Command], substitutions: Mapping[str, str]) -> None:
        self._commands: dict[str, Command] = {
            "filecheck": run_filecheck,
            "not": self._not,
            "cat": _cat,
            "diff": _diff,
            "true": lambda arguments, stdin: (0, "", ""),
            **commands,
        }
        self._substitutions = substitutions

    def tokens(self, text: str) -> list[str]:
        """Return the words and operators of a command line, substitutions made."""
        text = re.sub(r"(?<!\S)2>&1(?!\S)", _STDERR_TO_STDOUT, text)
        text = re.sub(r"(?<!\S)2>", f"{_STDERR_TO_FILE} ", text)
        lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            words = list(lexer)
        except ValueError as error:
            raise FileCheckError(f"{text}: {error}") from error
        return [_SUBSTITUTION.sub(lambda match: self._substitutions[match[0]], word) for word in words]

    def run(self, text: str) -> tuple[int, str, str]:
        """Run a command line and return its exit code, standard output and standard error."""
        out = err = ""
        code = 0
        for separator, pipeline in _split(self.tokens(text), {"&&", ";"}):
            if separator == "&&" and code != 0:
                break
            code, piece_out, piece_err = self._pipeline(pipeline)
            out += piece_out
            err += piece_err
            if code != 0 and separator != ";":
                break
        return code, out, err

    def _pipeline(self, words: list[str]) -> tuple[int, str, str]:
        """Run commands joined by `|`; the code is that of the last to fail, as with `pipefail`."""
        code, out, err = 0, "", ""
        for _, command in _split(words, {"|"}):
            piece_code, out, piece_err = self._redirected(command, out)
            err += piece_err
            code = piece_code or code
        return code, out, err

    def _redirected(self, words: list[str], stdin: str) -> tuple[int, str, str]:
        """Run one command with its redirections."""
        arguments: list[str] = []
        targets: dict[str, str] = {}
        pending = iter(words)
        for word in pending:
            if word in {"<", ">", ">>", _STDERR_TO_FILE}:
                if (target := next(pending, None)) is None:
                    raise FileCheckError("a redirection needs a file")
                targets[word] = target
            elif word == _STDERR_TO_STDOUT:
                targets[word] = ""
            elif word and set(word) <= set("|&;<>"):
                raise FileCheckError(f"the shell operator {word!r} is not supported in RUN lines")
            else:
                arguments.append(word)
        if "<" in targets:
            stdin = Path(targets["<"]).read_text(encoding="utf-8")
        code, out, err = self._call(arguments, stdin)
        if _STDERR_TO_STDOUT in targets:
            out, err = err + out, ""
        if _STDERR_TO_FILE in targets:
            Path(targets[_STDERR_TO_FILE]).write_text(err, encoding="utf-8")
            err = ""
        for operator, mode in ((">", "w"), (">>", "a")):
            if operator in targets:
                with Path(targets[operator]).open(mode, encoding="utf-8") as file:
                    file.write(out)
                out = ""
        return code, out, err

    def _call(self, arguments: Sequence[str], stdin: str) -> tuple[int, str, str]:
        if not arguments:
            raise FileCheckError("a RUN line has an empty command")
        if (command := self._commands.get(arguments[0])) is None:
            raise FileCheckError(f"the command {arguments[0]!r} is not known to the in-process runner")
        return command(list(arguments[1:]), stdin)

    def _not(self, arguments: list[str], stdin: str) -> tuple[int, str, str]:
        """Succeed when a command fails."""
        code, out, err = self._call(arguments, stdin)
        if code == 0:
            return 1, out, f"{err}not: {' '.join(arguments)} succeeded\n"
        return 0, out, err


def _split(words: Sequence[str], separators: set[str]) -> list[tuple[str, list[str]]]:
    """Return the parts between separators, each with the separator before it."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for word in words:
        if word in separators:
            parts.append((word, []))
        else:
            parts[-1][1].append(word)
    return parts


def run_filecheck(arguments: list[str], stdin: str) -> tuple[int, str, str]:
    """Run FileCheck on `stdin` with the arguments of its command line."""
    err = io.StringIO()
    with redirect_stderr(err):
        try:
            options = parse_argv_options(["filecheck", *arguments])
            checks = Path(options.match_filename).read_text(encoding="utf-8")
        except (RuntimeError, OSError) as error:
            return 2, "", f"filecheck: {error}\n"
        parser = Parser(options, io.StringIO(checks), *pattern_for_opts(options))
        code = Matcher(options, FInput("<stdin>", stdin), parser).run()
    return code, "", err.getvalue()


def _cat(arguments: list[str], stdin: str) -> tuple[int, str, str]:
    try:
        return 0, "".join(Path(name).read_text(encoding="utf-8") for name in arguments) or stdin, ""
    except OSError as error:
        return 1, "", f"cat: {error}\n"


def _diff(arguments: list[str], stdin: str) -> tuple[int, str, str]:
    names = [argument for argument in arguments if not argument.startswith("-") or argument == "-"]
    if len(names) != 2:
        return 2, "", "diff: expected two files\n"
    try:
        texts = [stdin if name == "-" else Path(name).read_text(encoding="utf-8") for name in names]
    except OSError as error:
        return 2, "", f"diff: {error}\n"
    old, new = (text.splitlines(keepends=True) for text in texts)
    lines = difflib.unified_diff(old, new, names[0], names[1])
    return int(texts[0] != texts[1]), "".join(lines), ""
