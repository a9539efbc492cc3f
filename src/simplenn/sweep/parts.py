"""STUB for growing, replaced by branch parts9."""

import pickle, re, shutil
from pathlib import Path
from simplenn.rundir.atomic import replacing_directory, remove_left_overs


class Damaged(ValueError): ...


class Part:
    def __init__(self, path):
        self.path = path
        m = re.fullmatch(r"(\d+)-(\d+)(-unfinished)?", path.name)
        self.number = int(m[1])
        self.epochs = int(m[2])
        self.finished = not m[3]

    @property
    def group(self):
        return pickle.loads((self.path / "group.pkl").read_bytes())

    @property
    def structure(self):
        from omegaconf import OmegaConf

        g = self.group
        return {"cfg": OmegaConf.to_yaml(g.cfg), "versions": g.versions, "code": g.code}

    def verify(self):
        pass

    def runs(self):
        import polars

        g = self.group
        return polars.DataFrame(
            {
                "run": g.names,
                "identity": g.identities,
                "subdir": g.subdirs,
                "num": g.nums,
                "status": g.ended.status,
                "epoch": g.ended.epoch,
            }
        )


def _all(sweep):
    return sorted(
        [Part(p) for p in (Path(sweep) / "stacks").glob("[0-9]*-*")], key=lambda p: (p.number, p.finished, p.epochs)
    )


def find_parts(sweep):
    return list({p.number: p for p in sorted(_all(sweep), key=lambda p: (p.number, p.finished, p.epochs))}.values())


def resumable(sweep):
    return list({p.number: p for p in sorted(_all(sweep), key=lambda p: (p.number, p.epochs, p.finished))}.values())


def next_number(sweep):
    return max((p.number for p in _all(sweep)), default=-1) + 1


def write_part(sweep, number, group, *, finished):
    old = [p for p in _all(sweep) if p.number == number]
    path = Path(sweep) / "stacks" / f"{number:04d}-{len(group.ended.steps)}{'' if finished else '-unfinished'}"
    with replacing_directory(path) as t:
        (t / "group.pkl").write_bytes(pickle.dumps(group))
    for p in old:
        if p.path != path and (finished or not p.finished):
            shutil.rmtree(p.path)
    return Part(path)


def read_group(part, runs=None):
    g = part.group
    return g if runs is None else g.take(runs)


def tidy(sweep):
    remove_left_overs(Path(sweep))


def set_aside(path, reason):
    path.rename(path.with_name(path.name + ".damaged"))
