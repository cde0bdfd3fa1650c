"""Many chargers' firmware states as one, as a table."""

from __future__ import annotations

import pytest

from controller.link.depot.firmware_states import ending, merged


@pytest.mark.parametrize(
    ("statuses", "expected", "final"),
    [
        (["", ""], "DownloadScheduled", False),
        (["DownloadScheduled", ""], "DownloadScheduled", False),
        (["Downloading", ""], "Downloading", False),
        (["Installed", ""], "Downloading", False),  # the other one has everything before it
        (["Downloaded", "Downloading"], "Downloading", False),
        (["Downloaded", "Installing"], "Downloaded", False),
        (["SignatureVerified", "Installing"], "SignatureVerified", False),
        (["Installing", "Installed"], "Installing", False),
        (["DownloadFailed", "Installing"], "Installing", False),  # who has failed holds up nobody
        (["Installed", "Installed"], "Installed", True),
        (["Installed", "DownloadFailed"], "DownloadFailed", True),
        (["DownloadFailed", "InstallationFailed", "Installed"], "InstallationFailed", True),
        (["InvalidSignature"], "InvalidSignature", True),
    ],
)
def test_the_least_far_one_counts_until_all_have_ended(statuses: list[str], expected: str, final: bool) -> None:
    progress = merged(statuses)
    assert (progress.status, progress.final) == (expected, final)


def test_who_did_what() -> None:
    assert ending({"CP1": "Installed", "CP2": "DownloadFailed"}) == "1 of 2 chargers installed; CP2 DownloadFailed"
    assert ending({"CP1": "Installed"}) == "1 of 1 chargers installed"
