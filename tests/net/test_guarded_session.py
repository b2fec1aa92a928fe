from __future__ import annotations

import pytest
import requests

from imagenet_nk.config import HttpConfig
from imagenet_nk.net.guarded_session import open_session


@pytest.mark.parametrize(("address", "helps"), [("127.0.0.1", True), ("169.254.169.254", False)])
def test_error_names_allow_private_only_if_it_helps(address: str, helps: bool) -> None:
    with pytest.raises(requests.ConnectionError) as raised:
        open_session(HttpConfig()).get(f"http://{address}:9/")
    assert ("allow_private" in str(raised.value)) == helps
