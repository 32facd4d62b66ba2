# SPDX-License-Identifier: ZPL-2.1
"""The dashboard and the alert rules of examples/monitoring: they can be loaded, and ask for what is
told."""
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from p01.remote import App, testing, verbs
from p01.remote.exposition import exposition

yaml = pytest.importorskip('yaml', reason='the rules need PyYAML, of p01.remote[test]')
parser = pytest.importorskip('prometheus_client.parser',
                             reason='the metrics need p01.remote[metrics]')
HERE = Path(__file__).parents[2] / 'examples' / 'monitoring'
RULES, DASHBOARD = HERE / 'rules.yml', HERE / 'grafana.json'
LABELS = {'le', 'instance', 'alertname'}      # that Prometheus adds, or histograms


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())['groups']
            for rule in group['rules']]


def panels():
    return json.loads(DASHBOARD.read_text())['panels']


def asked():
    """All expressions, with where they stand."""
    found = [(rule['alert'], rule['expr']) for rule in rules()]
    found += [(panel['title'], target['expr']) for panel in panels()
              for target in panel['targets']]
    queries = json.loads(DASHBOARD.read_text())['templating']['list']
    found += [('variable', each['query']['query']) for each in queries if each['type'] == 'query']
    return found


@pytest.fixture(scope='module')
def told(tmp_path_factory):
    """The names of samples that are told, each with its labels."""
    app = App(f'sqlite:{tmp_path_factory.mktemp("monitoring") / "jobs"}')
    with app.transaction() as root:
        processor = root[app.name]
        processor.addJob('echo', testing.EchoJob())
        processor.processJob('echo', 1)
    app.drain()
    with app.transaction() as root:
        root[app.name].processJob('echo', 1)
        verbs.pause(root[app.name].store, 'default')
    text, _ = exposition(app)
    app.close()
    found = {}
    for family in parser.text_string_to_metric_families(text.decode()):
        found.setdefault(family.name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize('where, expression', asked())
def test_what_is_asked_for_is_told(told, where, expression):
    names = re.findall(r'\bp01_\w+', expression)
    assert names
    for name in names:
        assert name in told, f'{where} asks for {name}'
    labels = set(re.findall(r'(\w+)\s*=~?"', expression))
    for inner in re.findall(r'\b(?:by|without) \(([^)]*)\)', expression):
        labels |= {label.strip() for label in inner.split(',')}
    assert labels - LABELS <= set().union(*(told[name] for name in names)) | {'queue', 'state'}


@pytest.mark.parametrize('rule', rules(), ids=lambda rule: rule['alert'])
def test_an_alert_says_what_is_and_what_to_do(rule):
    assert set(rule) == {'alert', 'expr', 'for', 'labels', 'annotations'}
    assert rule['labels']['severity'] in {'critical', 'warning', 'info'}
    assert rule['annotations']['summary'] and rule['annotations']['description']
    assert re.fullmatch(r'\d+m', rule['for'])
    for text in rule['annotations'].values():
        for label in re.findall(r'\$labels\.(\w+)', text):
            assert f'by ({label})' in rule['expr']


def test_panels_lie_side_by_side():
    taken = set()
    for panel in panels():
        at = panel['gridPos']
        cells = {(x, y) for x in range(at['x'], at['x'] + at['w'])
                 for y in range(at['y'], at['y'] + at['h'])}
        assert not taken & cells and at['x'] + at['w'] <= 24
        taken |= cells
    assert len({panel['id'] for panel in panels()}) == len(panels())


@pytest.mark.skipif(shutil.which('promtool') is None, reason='promtool is not installed')
def test_promtool_takes_the_rules():
    subprocess.run(['promtool', 'check', 'rules', str(RULES)], check=True)
