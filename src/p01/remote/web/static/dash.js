/* SPDX-License-Identifier: ZPL-2.1 */
/* What pages do beyond links and forms: they refresh, count what is selected, copy, and have keys.
   Everything works without it. */
(() => {
  'use strict';
  const PACE = 2000, root = document.documentElement;
  const main = () => document.getElementById('main');
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  let tag = null, lost = 0, paused = sessionStorage.getItem('paused') === '1', leading = '', cursor = '';
  let single = localStorage.getItem('single') !== '0';        // whether single keys do anything
  root.classList.add('js-on');

  // -- live: the same page again, where the database has changed

  const busy = () => paused || document.hidden || all('tbody .check:checked').length > 0
    || all('dialog[open], .menu[open]').length > 0
    || all('.form .input').some(field => field.value !== field.defaultValue)
    || (document.activeElement && document.activeElement.matches('main input:not(.check), main select, main textarea'));
  const showLive = () => {
    const live = document.getElementById('live');
    if (!live) return;
    live.classList.toggle('is-paused', paused);
    live.classList.toggle('is-lost', !paused && lost > 0);
    const word = live.querySelector('.word'), now = paused ? 'paused' : lost ? `no connection, showing ${new Date(lost).toLocaleTimeString()}` : 'live';
    if (word.textContent !== now) word.textContent = now;      // it is read aloud
    live.querySelector('.opt2').hidden = paused || lost > 0;
    live.querySelector('use').setAttribute('href', paused ? '#i-running' : '#i-pause');
    document.getElementById('pause').setAttribute('aria-label', paused ? 'Go on with live updates' : 'Pause live updates');
  };
  const pause = () => {
    paused = !paused;
    sessionStorage.setItem('paused', paused ? '1' : '0');
    showLive();
  };
  setInterval(() => { if (!busy() && window.htmx && main().hasAttribute('hx-get')) htmx.trigger(main(), 'tick'); }, PACE);
  document.addEventListener('htmx:configRequest', event => { if (tag) event.detail.headers['If-None-Match'] = tag; });
  document.addEventListener('htmx:beforeSwap', event => {
    tag = event.detail.xhr.getResponseHeader('ETag') || tag;
    if (busy()) event.detail.shouldSwap = false;
  });
  document.addEventListener('htmx:afterRequest', event => {
    const reached = event.detail.xhr && event.detail.xhr.status > 0 && event.detail.xhr.status < 400;
    if (reached) lost = 0; else lost = lost || Date.now() - PACE;
    showLive();
  });
  // the page that one is on, within the tabs that scroll
  const inView = () => {
    const nav = document.getElementById('nav'), here = nav && nav.querySelector('[aria-current]');
    if (here) nav.scrollLeft = here.offsetLeft + here.offsetWidth / 2 - nav.clientWidth / 2;
  };
  document.addEventListener('htmx:afterSettle', () => { mark(); counted(); inView(); });

  // what a reader has opened stays open, and what he has ticked stays ticked
  const morphing = window.Idiomorph && Idiomorph.defaults.callbacks;
  if (morphing) morphing.beforeAttributeUpdated = (name, node) => !(name === 'open' || name === 'checked' || (name === 'class' && node === root));

  // -- selection

  const counted = () => {
    const number = all('tbody .check:checked').length, every = document.getElementById('every'), count = document.getElementById('count');
    if (count) count.textContent = number;
    if (every) {
      const boxes = all('tbody .check').length;
      every.checked = number > 0 && number === boxes;
      every.classList.toggle('some', number > 0 && number < boxes);
    }
  };
  const select = (boxes, on) => { boxes.forEach(box => { box.checked = on; }); counted(); };
  document.addEventListener('change', event => {
    if (event.target.id === 'single') {
      single = event.target.checked;
      localStorage.setItem('single', single ? '1' : '0');
    } else if (event.target.id === 'every') select(all('tbody .check'), event.target.checked);
    else if (event.target.matches('.check')) counted();
  });

  // -- clicks

  document.addEventListener('click', event => {
    const copied = event.target.closest('[data-copy]');
    if (copied) {
      const said = copied.getAttribute('aria-label');
      navigator.clipboard.writeText(copied.dataset.copy).then(() => {
        copied.setAttribute('aria-label', 'Copied');
        copied.querySelector('use').setAttribute('href', '#i-completed');
        setTimeout(() => { copied.setAttribute('aria-label', said); copied.querySelector('use').setAttribute('href', '#i-copy'); }, 1500);
      });
    } else if (event.target.closest('#help')) help();
    else if (event.target.closest('#pause')) pause();
    else if (event.target.closest('#none')) select(all('tbody .check'), false);
    else all('.menu[open]').forEach(menu => { if (!menu.contains(event.target)) menu.removeAttribute('open'); });
  });

  // -- keys

  const PAGES = { o: 0, j: 1, e: 2, q: 3, w: 4, s: 5, y: 6 };
  const rows = () => all('main tbody tr[id]');
  const mark = () => rows().forEach(row => row.classList.toggle('cursor', row.id === cursor));
  const move = step => {
    const found = rows(), at = found.findIndex(row => row.id === cursor);
    if (!found.length) return;
    const next = found[Math.min(found.length - 1, Math.max(0, at < 0 ? (step > 0 ? 0 : found.length - 1) : at + step))];
    cursor = next.id;
    mark();
    next.scrollIntoView({ block: 'nearest' });
    const link = next.querySelector('a.task');
    if (link) link.focus({ preventScroll: true });
  };
  const press = key => {
    const buttons = all(`button[data-key="${key}"]:not(:disabled)`).filter(button => button.offsetParent);
    if (buttons.length) buttons[0].click();
  };
  const help = () => document.getElementById('keys').showModal();
  const KEYS = {
    '/': () => { const field = document.querySelector('.query input[type=text]') || document.querySelector('.search input'); if (field) { field.focus(); field.select(); } },
    j: () => move(1), k: () => move(-1),
    x: () => { const box = cursor && document.querySelector(`#${cursor} .check`); if (box) { box.checked = !box.checked; counted(); } },
    r: () => press('r'), c: () => press('c'), t: () => press('t'), '.': pause,
    '?': help,
    g: () => { leading = 'g'; setTimeout(() => { leading = ''; }, 1000); },
  };
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !single) return;
    if (event.target.matches('input:not(.check), select, textarea')) { if (event.key === 'Escape') event.target.blur(); return; }
    if (document.querySelector('dialog[open]')) return;
    if (leading === 'g' && event.key in PAGES) { leading = ''; all('#nav a')[PAGES[event.key]].click(); event.preventDefault(); return; }
    if (event.key in KEYS) { event.preventDefault(); KEYS[event.key](); }
  });

  document.getElementById('single').checked = single;
  showLive();
  counted();
  inView();
})();
