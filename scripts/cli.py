# SPDX-License-Identifier: Apache-2.0
"""The ``simenv`` command: each subcommand is a dataclass with ``run() -> int``, whose module is imported when used."""

import difflib
import errno
import importlib
import os
import sys
import typing
from collections.abc import Sequence

from simenv._debug import ENVIRONMENT_VARIABLE, debugging

# name -> (module, class, one line of help). Adding a subcommand is one file and one row.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "list": ("simenv.scripts.list_tasks", "ListTasks", "list the environments"),
    "info": ("simenv.scripts.info", "Info", "describe one environment: spaces, units, physical parameters"),
    "demo": ("simenv.scripts.demo", "Demo", "show what simenv does, in a minute"),
    "optimize": ("simenv.scripts.optimize", "Optimize", "optimise a trajectory through the simulator's gradients"),
    "train": ("simenv.scripts.train", "Train", "train a policy"),
    "record": ("simenv.scripts.record", "Record", "record episodes to a directory"),
    "replay": ("simenv.scripts.replay", "Replay", "replay a recording, or a real motion (CSV), in the simulator"),
    "identify": ("simenv.scripts.identify", "Identify", "find physical parameters from a recording, by gradients"),
    "view-tactile": ("simenv.scripts.view_tactile", "ViewTactile", "show touch: image, force field, markers, wrench"),
    "calibrate-tactile": (
        "simenv.scripts.calibrate_tactile",
        "CalibrateTactile",
        "fit a tactile camera to images of a pressed ball",
    ),
    "bench": ("simenv.scripts.bench", "Bench", "measure simulation speed"),
    "doctor": ("simenv.scripts.doctor", "Doctor", "check the installation"),
}

USAGE_ERROR, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``simenv ARGS``.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        Exit status: 0 success, 1 a check failed, 2 wrong usage or input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--debug" in arguments:
        os.environ[ENVIRONMENT_VARIABLE] = "1"  # for the processes that a command may start, too
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debugging() or not _is_expected(error):
            raise
        print(f"simenv: error: {_one_line(error)}", file=sys.stderr)
        return USAGE_ERROR


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if arguments else USAGE_ERROR
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        import simenv

        print(f"simenv {simenv.__version__}")
        return 0
    if name not in COMMANDS:
        guess = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean `simenv {guess[0]}`?" if guess else ""
        print(f"simenv: error: no command {name!r}{hint} `simenv --help` lists them", file=sys.stderr)
        return USAGE_ERROR
    module, cls, _ = COMMANDS[name]
    command = _load(name, module, cls)

    import tyro

    rest = _together(command, rest)
    try:
        parsed = tyro.cli(command, args=rest, prog=f"simenv {name}", config=(tyro.conf.FlagCreatePairsOff,))
    except SystemExit as stop:  # tyro has printed the help (0) or what is wrong (2)
        return int(stop.code or 0)
    return int(parsed.run())


def _load(name: str, module: str, cls: str) -> type:
    """The command's dataclass."""
    try:
        return getattr(importlib.import_module(module), cls)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise FileNotFoundError(f"`simenv {name}` is not part of this installation ({module} is missing)") from error


def _together(command: type, arguments: list[str]) -> list[str]:
    """The arguments with all values of an option that takes any number of them behind its first mention, as of a second
    one the parser keeps the last alone.
    """
    many = {
        f"--{name.replace('_', '-')}" for name, kind in typing.get_type_hints(command).items()
        if typing.get_origin(kind) is tuple and typing.get_args(kind)[-1] is Ellipsis
    }  # fmt: skip
    found: dict[str, list[str]] = {}
    out: list[list[str]] = []
    for argument in arguments:
        option, given, value = argument.partition("=")
        option = option.replace("_", "-")
        if argument.startswith("--"):
            words = [option, value] if given and option in many else [argument]
            if option in found:
                out.append(found[option])
                found[option] += words[1:]
                continue
            out.append(words)
            if option in many:
                found[option] = out[-1]
        elif out:
            out[-1].append(argument)
        else:
            out.append([argument])
    return [word for i, words in enumerate(out) if not any(words is each for each in out[:i]) for word in words]


def _overview() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, (_, _, text) in COMMANDS.items())
    return f"""usage: simenv COMMAND [options]

Differentiable physics environments for robot learning.

commands:
{rows}

options:
  -h, --help  show this text; `simenv COMMAND --help` shows a command's options
  --version   show the version
  --debug     show the traceback of an error, and Warp's messages (also {ENVIRONMENT_VARIABLE}=1)

first steps:
  simenv doctor                                                  is everything installed?
  simenv list                                                    which environments are there?
  simenv record SimEnv/Pouring-v0 --episodes 2 --out runs/first  record two episodes
  simenv replay runs/first                                       simulate them again and compare"""


def _is_expected(error: Exception) -> bool:
    """Whether an exception speaks to the user: bad input or a missing thing, not a fault of simenv."""
    own = type(error).__module__.startswith("simenv.")  # simenv defines an exception only to speak to the user
    if own or isinstance(error, OSError | ValueError):
        return True
    if isinstance(error, ImportError):  # a package that is not installed, or a message that says so
        return not (error.name or "").startswith("simenv")
    gymnasium = sys.modules.get("gymnasium")
    return gymnasium is not None and isinstance(error, gymnasium.error.Error)


def _one_line(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        from simenv._extras import extra_of, install_command

        extra = extra_of(error.name)
        remedy = install_command(extra) if extra else f"pip install {error.name}"
        return f"the package {error.name!r} is not installed: {remedy}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and not error.filename:
        return (
            f"{error.strerror}, while a file was written that has no name here (kernels are kept in Warp's cache, "
            "videos and scratch files in the folder of TMPDIR); free some space, or raise the limit of `ulimit -f`"
        )
    text = " ".join(str(error).split())
    return text or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
