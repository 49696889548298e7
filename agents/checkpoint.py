# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: safetensors for arrays, JSON for the rest, written so that a crash at any moment leaves the previous one
whole.

Layout of a checkpoint directory::

    000040/state.safetensors    arrays
    000040/state.json           everything else, with the SHA-256 of the arrays
    last                        one line: the name of the newest complete checkpoint

A step is written into a temporary folder, each file and the folder are fsynced, and only then is the folder renamed and
`last` replaced; both are single renames. Nothing is pickled, so a checkpoint from a stranger can be wrong but cannot
run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from simenv._files import flush, telling, write_text
from simenv.errors import SimEnvError

FORMAT = "simenv-checkpoint-1"
ARRAYS, META, LAST = "state.safetensors", "state.json", "last"


class CheckpointError(SimEnvError, RuntimeError):
    """A checkpoint is missing, damaged, or belongs to another run."""


def to_tensor(value: torch.Tensor | np.ndarray) -> torch.Tensor:
    """A contiguous CPU copy of `value`, as safetensors wants it."""
    tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value, order="C"))
    return tensor.detach().cpu().contiguous().clone()


def save_checkpoint(
    directory: str | Path, step: int, arrays: Mapping[str, Any], meta: Mapping[str, Any], keep: int = 3
) -> Path:
    """Writes one checkpoint and points `last` at it.

    Args:
        directory: Checkpoint directory, made if needed.
        step: Number of the checkpoint (iteration or time step), its folder name.
        arrays: Name -> tensor or NumPy array of numbers.
        meta: JSON-serialisable values; NaN and infinity are refused (put them into `arrays`).
        keep: How many of the newest checkpoints stay on disk.

    Returns:
        Folder of the new checkpoint.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    folder = directory / f"{step:06d}"
    temporary = Path(tempfile.mkdtemp(dir=directory, prefix=".tmp-"))
    try:
        content = save({name: to_tensor(value) for name, value in arrays.items()})
        digest = hashlib.sha256(content).hexdigest()
        document = {"format": FORMAT, "step": step, "sha256": digest, "meta": dict(meta)}
        meta_content = json.dumps(document, indent=1, allow_nan=False).encode()
        for name, data in ((ARRAYS, content), (META, meta_content)):
            with telling(folder / name, temporary / name, len(data)):
                (temporary / name).write_bytes(data)
                flush(temporary / name)
        flush(temporary)
        os.chmod(temporary, 0o755)  # noqa: S103  (mkdtemp makes it private; results are meant to be shared)
        if folder.exists():  # the same step again: move the old one aside first, a rename cannot replace a full folder
            aside = Path(tempfile.mkdtemp(dir=directory, prefix=".tmp-"))
            os.replace(folder, aside / "old")
            os.replace(temporary, folder)
            shutil.rmtree(aside)
        else:
            os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    write_text(directory / LAST, f"{folder.name}\n")
    _prune(directory, folder, keep)
    return folder


def _prune(directory: Path, newest: Path, keep: int) -> None:
    # Only folders this module wrote: digits, or temporaries left by a killed process.
    folders = [p for p in directory.iterdir() if p.is_dir() and p.name.isdigit() and p != newest]
    older = sorted((p for p in folders if int(p.name) < int(newest.name)), key=lambda p: int(p.name))
    later = [p for p in folders if int(p.name) > int(newest.name)]  # from a run that this one has been restarted before
    stale = [p for p in directory.iterdir() if p.is_dir() and p.name.startswith(".tmp-")]
    for path in older[: max(0, len(older) - (keep - 1))] + later + stale:
        shutil.rmtree(path, ignore_errors=True)


def has_checkpoint(directory: str | Path | None) -> bool:
    """Whether `directory` holds a `last` pointer."""
    return directory is not None and (Path(directory) / LAST).is_file()


def load_checkpoint(path: str | Path, resuming: bool = True) -> tuple[dict[str, torch.Tensor], dict[str, Any], int]:
    """Reads a checkpoint.

    Args:
        path: A checkpoint directory (its `last` one is read) or one checkpoint's own folder.
        resuming: Whether a run goes on from it, of which errors then speak.

    Returns:
        ``(arrays, meta, step)``, the arrays as CPU tensors.

    Raises:
        CheckpointError: If it is missing, was cut short, was altered, or has another format. Nothing older is used
            instead without being asked for: name that folder to do so.
    """
    path = Path(path)
    if (path / META).is_file():
        folder = path
    elif (path / LAST).is_file():
        name = (path / LAST).read_text().strip()
        if not name.isdigit():
            raise CheckpointError(f"{path / LAST} holds {name!r}, not a checkpoint's number; name a folder yourself")
        folder = path / name
    else:
        otherwise = ", or start without resume" if resuming else " of `simenv train` or `simenv optimize`"
        raise CheckpointError(
            f"no checkpoint in {path} (neither {META} nor {LAST}); name the folder of a run{otherwise}"
        )
    others = sorted(p.name for p in folder.parent.iterdir() if p.name.isdigit() and p.name != folder.name)
    verb, otherwise = ("resume from", "start again") if resuming else ("name", "train again")
    remedy = f"{verb} another folder of {folder.parent} ({', '.join(others) or 'there is none'}) or {otherwise}"
    try:
        document = json.loads((folder / META).read_text())
        content = (folder / ARRAYS).read_bytes()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {folder} cannot be read ({error}); {remedy}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint {folder} is not in format {FORMAT!r}; {remedy}")
    if hashlib.sha256(content).hexdigest() != document.get("sha256"):
        raise CheckpointError(f"checkpoint {folder} is damaged: {ARRAYS} does not match its SHA-256; {remedy}")
    try:
        # Fresh memory for each array: views into the file are not aligned, and the rounding of vectorised sums depends
        # on that.
        arrays = {name: value.clone() for name, value in load_file(folder / ARRAYS).items()}
    except SafetensorError as error:
        raise CheckpointError(f"checkpoint {folder} cannot be read ({error}); {remedy}") from error
    return arrays, document["meta"], int(document["step"])
