"""How the tests are shared among the workers of pytest-xdist, as a plugin of pytest."""

from pathlib import PurePath

import pytest
from xdist.scheduler import LoadScopeScheduling


_TOGETHER = ("tests/image", "tests/k8s", "tests/faults")
"""Folders whose tests share what takes long to make (an image, a cluster's tools), or
keep both cores busy by themselves."""

_FIRST = ("tests/image/", "tests/faults/")


class Workers(LoadScopeScheduling):  # type: ignore[misc] # it ships no types
    """Give a worker a file at a time, the image's tests first: they are the longest."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = str(PurePath(path).parent)
        return folder if folder in _TOGETHER else path

    def remove_node(self, node: object) -> str | None:
        """Return the test that a worker died of; unlike in xdist it is not run again."""
        ended = None
        for unit in self.assigned_work[node].values():
            ended = next((name for name, done in unit.items() if not done), None)
            if ended is not None:
                unit[ended] = True
                break
        super().remove_node(node)
        return ended


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Workers:
    """Return our own scheduler; files go out in the order in which they are collected."""
    config.option.loadscopereorder = False
    return Workers(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left with it at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(_FIRST))
