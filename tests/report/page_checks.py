"""What a page must be for those who read it, as expressions of JavaScript that a browser computes."""

from __future__ import annotations

CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true}), known = {}
  const read = text => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1)
    const c = [...canvas.getImageData(0, 0, 1, 1).data]; c[3] /= 255
    return c
  }
  const rgb = text => known[text] ??= read(text)
  const over = (c, ground) => [0, 1, 2].map(i => c[i] * c[3] + ground[i] * (1 - c[3]))
  const channel = c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4
  const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2])
  const ground = e => {
    const above = []
    for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); above.push(c); if (c[3] > .99) break }
    return above.reduceRight((under, c) => over(c, under), rgb(getComputedStyle(document.body).backgroundColor))
  }
  let worst = [99, '']
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest('svg, script, style')) continue
    if (!e.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue
    const under = ground(e), [a, b] = [light(over(rgb(getComputedStyle(e).color), under)), light(under)]
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05)
    if (ratio < worst[0]) worst = [ratio, e.textContent.trim().slice(0, 80)]
  }
  return worst
})()
"""  # WCAG 2.2, 1.4.3: 4.5 to 1 for text
NAMELESS = """
[...document.querySelectorAll('a[href], button, input:not([type=checkbox], [type=radio], [type=hidden]), summary, img')]
  .filter(e => e.checkVisibility() && !e.innerText?.trim() && !e.ariaLabel && !e.title && !e.placeholder && !e.alt)
  .filter(e => !e.querySelector('img[alt], [aria-label]'))
  .map(e => e.outerHTML.slice(0, 120))
"""  # what a screen reader could only call "link" or "button"
ELSEWHERE = """
performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !/^(file|data|blob):/.test(name))
"""
WIDTH = "document.documentElement.scrollWidth"
HEADINGS = "document.querySelectorAll('h1').length"
