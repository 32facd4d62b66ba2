# SPDX-License-Identifier: ZPL-2.1
"""What one sees while the demo runs: a live display on a terminal, else a plain line a second, or
nothing for JSON."""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from p01.remote.cli.terminal import GLYPHS, console, isLive, say, spark, styled

if TYPE_CHECKING:
    from rich.text import Text

SAMPLE = 0.25       # seconds of one little bar
BARS = 40
WINDOW = 4          # samples that make the rate


class Numbers(NamedTuple):
    """How the jobs stand."""

    total: int
    waiting: int = 0
    running: int = 0
    done: int = 0
    retried: int = 0
    failed: int = 0


class Hand(NamedTuple):
    """What a worker does."""

    worker: int
    share: float        # of its job that is done, 0 to 1
    text: str           # what its job says; '' for none


COLUMNS = (('waiting', 'queued'), ('running',
                                   'processing'), ('done', 'completed'), ('retried', 'retried'),
           ('failed', 'error'))


class Stage:
    """Shows numbers as they change, and lines that stay. A context manager."""

    def __init__(self, title: str, quiet: bool = False) -> None:
        self.title = title
        self.quiet = quiet
        self.live: Any = None
        self.began = self.sampled = self.told = time.monotonic()
        self.ended = 0.0
        self.last = 0
        self.samples: deque[float] = deque(maxlen=BARS)
        self.numbers = Numbers(0)
        self.hands: list[Hand] = []
        self.note = ''

    def __enter__(self) -> Stage:
        if not self.quiet and isLive():
            from rich.live import Live
            self.live = Live(self.picture(), console=console(), auto_refresh=False,
                             redirect_stderr=False)
            self.live.start()
        elif not self.quiet:
            say(self.title)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.live is not None:
            self.live.update(self.picture(), refresh=True)
            self.live.stop()

    def begin(self) -> None:
        """The clock of the throughput starts."""
        self.began = self.sampled = self.told = time.monotonic()
        self.last = self.numbers.done

    def finish(self) -> None:
        """The clock stops: the last job has ended."""
        self.ended = time.monotonic()

    def show(self, numbers: Numbers, hands: Iterable[Hand] = ()) -> None:
        """Show how the jobs stand now, and what each worker does."""
        now = time.monotonic()
        self.numbers, self.hands = numbers, list(hands)
        while now - self.sampled >= SAMPLE:
            steps = int((now - self.sampled) / SAMPLE)
            self.samples.extend([(numbers.done - self.last) / (steps * SAMPLE)] * min(steps, BARS))
            self.sampled += steps * SAMPLE
            self.last = numbers.done
        if self.live is not None:
            self.live.update(self.picture(), refresh=True)
        elif not self.quiet and now - self.told >= 1.0:
            self.told = now
            words = '  '.join(f'{name} {getattr(numbers, name):,}' for name, _ in COLUMNS)
            say(f'{now - self.began:3.0f} s  {words}  {self.rate():,.0f} jobs/s')

    def tell(self, *parts: str | tuple[str, str]) -> None:
        """A line that stays."""
        if not self.quiet:
            say(*parts)         # above the live part, if there is one

    def step(self, note: str) -> None:
        """What happens now, beside the jobs; '' for nothing."""
        self.note = note
        if self.live is not None:
            self.live.update(self.picture(), refresh=True)

    def rate(self) -> float:
        """Jobs a second, of late."""
        recent = list(self.samples)[-WINDOW:]
        return sum(recent) / len(recent) if recent else 0.0

    def picture(self) -> Any:
        """What the terminal shows."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        numbers = self.numbers
        counts = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        counts.add_column(styled(('queue', 'dim')), width=10)
        for name, kind in COLUMNS:
            glyph, colour = GLYPHS[kind]
            counts.add_column(styled((f'{glyph} {name}', colour)), justify='right', min_width=9)
        counts.add_row('default', *(f'{getattr(numbers, name):,}' for name, _ in COLUMNS))
        ended = numbers.done + numbers.failed
        bar = Table.grid(padding=(0, 2, 0, 0))
        bar.add_row(styled(f'{"jobs":11}'),
                    ProgressBar(total=max(numbers.total, 1), completed=ended, width=BARS),
                    f'{ended:,}/{numbers.total:,}')
        title = styled((self.title, 'bold'))
        title.no_wrap, title.overflow = True, 'ellipsis'
        for hand in self.hands:
            text = styled((hand.text, 'dim'))
            text.no_wrap, text.overflow = True, 'ellipsis'
            bar.add_row(styled(f'{f"worker {hand.worker}":11}'),
                        ProgressBar(total=1.0, completed=hand.share, width=BARS), text)
        lines: list[Any] = [title, counts, bar, self.throughput()]
        if self.note:
            lines.append(styled((self.note, 'dim')))
        return Group(*lines)

    def throughput(self) -> Text:
        """The line with the little bars."""
        return styled(f'{"throughput":13}', (f'{spark(list(self.samples)):{BARS}}', 'cyan'),
                      f'  {self.rate():,.0f} jobs/s')
