from __future__ import annotations

import kexp.data


def test_every_public_name_of_data_is_there_and_sorted() -> None:
    assert list(kexp.data.__all__) == sorted(kexp.data.__all__)
    for name in kexp.data.__all__:
        found = getattr(kexp.data, name)
        assert found.__module__.startswith("kexp.data.")
        assert found.__name__ == name and found.__doc__
    assert set(kexp.data.__all__) == set(kexp.data._HOMES)
