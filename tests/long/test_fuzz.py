# SPDX-License-Identifier: ZPL-2.1
"""100,000 requests to the dashboard and its API, as tests/web/fuzz.py makes them up, and as
schemathesis does from what the API says of itself: nothing breaks, nothing of the inside comes
out, memory stays. P01_FUZZ says how many, P01_SEED which."""
import os
import secrets

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from schemathesis.generation import GenerationMode

from tests.web import fuzz
from tests.web.conftest import town  # noqa: F401

REQUESTS = int(os.environ.get('P01_FUZZ', '100000'))
SEED = os.environ.get('P01_SEED') or secrets.token_hex(4)
PART = 5_000            # requests; in the first half there is another hour of the shop after each
DESCRIBED = 0.1         # of all, by schemathesis
GROWTH, MORE = 1.1, 8.0     # of what the server takes after the first half, and MiB


def described(served, number):
    """Ask the API so many times what it describes, and what it does not; gives what was wrong."""
    base, faults = f'http://127.0.0.1:{served.port}/api/v1', []
    schema = schemathesis.openapi.from_url(f'{base}/openapi.json')
    found = [each.ok() for each in schema.get_all_operations()]
    for operation in found:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body
                                                        or operation.path_parameters):
                continue

            @seeded(int(SEED, 36))
            @settings(max_examples=number // len(found) // 2, deadline=None, database=None,
                      suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(mode))
            def ask(case):
                answer = case.call(base_url=base, headers={
                    'Authorization': f'Bearer {fuzz.TOKEN}', 'X-Who': 'all'})
                if fault := fuzz.faultOf(answer.status_code, {}, answer.content):
                    faults.append(f'{fault} for {case.as_curl_command()[:1500]}')

            ask()
    return faults


def test_nothing_breaks_and_memory_stays(town, tmp_path):      # noqa: F811
    from tests.web import stage  # it imports the shop, which the town has put on the path
    print(f'P01_SEED={SEED}')
    memory = []
    with fuzz.Served(town.app.database, tmp_path / 'log') as served:
        many = round(REQUESTS * (1 - DESCRIBED))
        for first in range(0, many, PART):
            if first < many / 2:
                stage.fill(town.app)
            assert fuzz.hail(served, fuzz.fuzzOf(town, SEED), range(first, first + PART)) == []
            memory.append(round(served.memory(), 1))
        assert described(served, round(REQUESTS * DESCRIBED)) == []
        memory.append(round(served.memory(), 1))
    print(f'{memory} MiB')
    assert memory[-1] <= memory[(len(memory) - 1) // 2] * GROWTH + MORE, memory
