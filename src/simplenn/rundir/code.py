"""Which code and which files made a run's numbers, as digests: so that a run that is kept can be told from what the
code would give now. Imports neither torch nor the code itself.

Of a run that went on with other code than it had begun with, the digests of all versions are kept, in their order.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import simplenn
from simplenn.config import texts

DIGITS = 12  # hexadecimal, of each digest: enough to tell versions apart
MOST_BYTES = 64 * 2**20  # a file beyond it goes by its size alone
JOINT = "+"  # between the digests of versions that trained one run, one after the other
LIBRARIES = ("torch", "lightning")  # whose versions are noted beside


def code_of(cfg: DictConfig) -> dict[str, str]:
    """Digests by name: of this package, of each module outside of it that the configuration's `_target_`s name, and of
    each file that a value of its names."""
    found = {"simplenn": _of_package()}
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    for key, text in texts(values):
        if key.rpartition(".")[2] == "_target_":
            module = text.rpartition(".")[0]
            if module.partition(".")[0] not in ("simplenn", *LIBRARIES) and (path := _file_of(module)) is not None:
                found[module] = _digest(path)
        elif len(text) < 4096 and "\0" not in text and Path(text).is_file():
            found[text] = _digest(Path(text))
    return found


def code_of_both(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """What has trained a run that began with the code `before`, which may be of several versions or empty where it
    isn't known, and went on with that of `now`."""
    both = dict(before) | dict(now)
    for name in before.keys() & now.keys():
        versions = before[name].split(JOINT)
        both[name] = JOINT.join(versions if versions[-1] == now[name] else [*versions, now[name]])
    return both


def changed_code(code: Mapping[str, str]) -> list[str]:
    """The names of what there was more than one version of while the run trained."""
    return sorted(_printable(name) for name, versions in code.items() if JOINT in versions)


def other_code(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is not the same in both, in a few words each; nothing where it isn't known what there was then."""
    names = [_printable(name) for name in sorted({*now, *then}) if now.get(name) != then.get(name)] if then else []
    return [f"other code of {name}" if "/" not in name and "." not in name else f"another {name}" for name in names]


def going_on_with_other_code(found: Sequence[str]) -> str:
    """What is to be said of epochs so far that go on in spite of `other_code`."""
    return (
        f"were trained with {', '.join(found)}, and best values are compared across both; "
        "for one code throughout, train anew under another name"
    )


def _printable(name: str) -> str:
    """A name from a file that may be a stranger's."""
    return name if name.isprintable() else ascii(name)


@cache
def _of_package() -> str:
    """Of all source files of this package, each with its place in it."""
    package = Path(simplenn.__path__[0])
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:DIGITS]


def _file_of(module: str) -> Path | None:
    """Where the module's source is. Only the outermost package is looked up, which imports nothing."""
    outermost, *inner = module.split(".")
    try:
        spec = find_spec(outermost)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not inner:
        return Path(spec.origin) if spec.origin and Path(spec.origin).is_file() else None
    places = [Path(folder).joinpath(*inner) for folder in spec.submodule_search_locations or ()]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return next((file for file in files if file.is_file()), None)


def _digest(path: Path) -> str:
    size = path.stat().st_size
    if size > MOST_BYTES:
        return f"{size} bytes"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:DIGITS]
