"""The folder `.hydra` of a run: its configuration as Hydra writes it, but whole or not at all, and with checksums.

config.yaml       the job's configuration
hydra.yaml        Hydra's own node
overrides.yaml    what was given on the command line
sha256sums        of these three, as the program sha256sum writes them, and in a comment the identity of
                  their run; a folder that Hydra made has none
"""

import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from simplenn.errors import ConfigError
from simplenn.rundir.atomic import before_replacement, replacing_directory

NAME = ".hydra"
SUMS = "sha256sums"
IDENTITY = "# identity "
READINGS = 3  # of a file and its sum, between which the run's own process may replace the folder


def with_sums(files: Mapping[str, bytes], identity: str) -> dict[str, bytes]:
    """The files of the run of this identity, by name, and that of their sums."""
    lines = [f"{IDENTITY}{identity}\n"]
    lines += [f"{sha256(content).hexdigest()}  {name}\n" for name, content in files.items()]
    return {**files, SUMS: "".join(lines).encode()}


def write_hydra_folder(directory: Path, files: Mapping[str, bytes], identity: str) -> None:
    """Writes the files of a run's directory, or replaces all of them. Raises `Unwritable`."""
    with replacing_directory(directory / NAME) as temporary:
        for name, content in with_sums(files, identity).items():
            (temporary / name).write_bytes(content)


def noted_identity(directory: Path) -> str:
    """That of the run whose configuration the folder has; empty where it says none."""
    try:
        first = hydra_file(directory, SUMS).read_text(errors="replace").partition("\n")[0]
    except OSError:
        return ""
    return first.removeprefix(IDENTITY) if first.startswith(IDENTITY) else ""


def hydra_file(directory: Path, name: str) -> Path:
    """Where a file of the folder is: in the one before, where a kill has cut its replacement short."""
    folder, before = directory / NAME, before_replacement(directory / NAME)
    return (before if before.exists() and not folder.exists() else folder) / name


def read_hydra_file(directory: Path, name: str) -> str:
    """The file's text. Raises `ConfigError` where it is not what was written, `OSError` and `UnicodeDecodeError` where
    it can't be read."""
    path = hydra_file(directory, name)
    for reading in range(READINGS):
        content = path.read_bytes()
        try:
            sums = path.with_name(SUMS).read_text(errors="replace")
        except FileNotFoundError:
            return content.decode()
        if f"{sha256(content).hexdigest()}  {name}" in sums.splitlines():
            return content.decode()
        time.sleep(0.02 * reading)
        path = hydra_file(directory, name)
    raise ConfigError(
        f"{path} must be as the run wrote it, and its checksum is not the one in {SUMS}; "
        f"restore the file, or delete {SUMS} if the change is meant"
    )
