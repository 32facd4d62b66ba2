# SPDX-License-Identifier: ZPL-2.1
"""A log line is one line, whatever errors of jobs say."""
from p01.remote import events, logs


def test_what_rules_a_terminal_stays_out_of_the_log(caplog):
    logs.write(events.JobErred(7, 'mail', 1, 'one', 'two\nlines\r\x1b[31mred\0\u2028\ud800 ✔',
                               'error'))
    assert [record.getMessage()
            for record
            in caplog.records] == ['Job 7 mail: error in run 1 on one: two lines  [31mred    ✔']
