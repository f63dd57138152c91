"""Searches that were begun: the files that keep them between their epochs."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from proxysample.files import remove_whole


class UnfinishedSearches:
    """One file a search, in a study's folder, named by the search and by who runs it.

    Two runners never write the same file, even if one that was thought to be gone goes on.

    Parameters
    ----------
    folder : Path
        Of the study.
    runner : str
        Id of the runner.

    Examples
    --------
    >>> UnfinishedSearches(Path("results"), "b0").path("1f").as_posix()
    'results/unfinished/1f-b0.safetensors'
    """

    def __init__(self, folder: Path, runner: str) -> None:
        self.folder = folder / "unfinished"
        self.runner = runner

    @property
    def is_reachable(self) -> bool:
        """Whether this machine has the study's folder, or one of that name."""
        return self.folder.parent.is_dir()

    def path(self, key: str) -> Path:
        """Name the file of a search.

        Parameters
        ----------
        key : str
            See `proxysample_nas.study.store.store.experiment_key`.

        Returns
        -------
        Path
        """
        return self.folder / f"{key}-{self.runner}.safetensors"

    def take_over(self, key: str) -> None:
        """Go on from what a runner that is gone has left of a search, if anything.

        Parameters
        ----------
        key : str
            Of a search that this runner has claimed.
        """
        left = [path for path in self._files(key) if path != self.path(key)]
        if left:
            newest = max(left, key=lambda path: path.stat().st_mtime)
            newest.replace(self.path(key))

    def remove(self, key: str) -> None:
        """Remove whatever was kept of a search that has ended.

        Parameters
        ----------
        key : str
        """
        # A runner that was killed while it wrote leaves the part that it had written, too.
        for path in self.folder.glob(f"{key}-*.safetensors*"):
            remove_whole(path)

    def remove_done(self, done: Set[str]) -> None:
        """Remove what a runner has left that was killed after it had kept a search's result.

        Parameters
        ----------
        done : set of str
            Keys of all experiments that have a result.
        """
        for key in done & {path.name.partition("-")[0] for path in self.folder.glob("*")}:
            self.remove(key)

    def _files(self, key: str) -> list[Path]:
        return list(self.folder.glob(f"{key}-*.safetensors"))
