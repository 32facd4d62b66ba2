# SPDX-License-Identifier: ZPL-2.1
"""Every tick around every clock change of ten years in every zone, against a look at each minute of
UTC."""
from zoneinfo import available_timezones

from tests.unit.test_zones import compare


def test_every_zone():
    found, changes = {}, 0
    for name in sorted(available_timezones()):
        wrong, count = compare(name)
        changes += count
        if wrong:
            found[name] = wrong
    print(f'{len(available_timezones())} zones, {changes:,} changes, {len(found)} zones with '
          'mismatches')
    assert found == {}
