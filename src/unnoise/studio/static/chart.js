// Lines over a shared x axis: drag to zoom, double-click or Reset to see all, arrow keys to read values.
import { h, s, short } from '/static/dom.js'

export const COLOURS = [1, 2, 3, 4, 5, 6, 7, 8].map((index) => `var(--c${index})`)
const LEFT = 52, RIGHT = 12, TOP = 18, BOTTOM = 30

export function chart({ label, x = 'step', y = '', height = 260, markers = false }) {
  const box = h('div', { class: 'chart', tabIndex: 0, role: 'img', 'aria-label': label })
  const svg = s('svg', { height, 'aria-hidden': 'true' })
  const tip = h('div', { class: 'tip', hidden: true })
  const legend = h('div', { class: 'legend' })
  box.append(svg, tip)
  const view = { series: [], log: false, logX: false, zoom: null, cursor: null, drag: null, line: null }
  const element = h('div', { class: 'stack' }, box, legend)
  element.firstChild.parentElement.style.gap = '8px'

  function bounds() {
    const points = view.series.flatMap((line) => line.points).filter(([at, value]) => usable(at, view.logX) && usable(value, view.log))
    const visible = view.zoom ? points.filter(([at]) => at >= view.zoom[0] && at <= view.zoom[1]) : points
    const xs = view.zoom ?? extent(points.map((point) => point[0]))
    let ys = extent(visible.map((point) => point[1]))
    if (view.line !== null) ys = [Math.min(ys[0], view.line), Math.max(ys[1], view.line)]
    if (ys[0] === ys[1]) ys = view.log ? [ys[0] / 2, ys[1] * 2] : [ys[0] - 0.5, ys[1] + 0.5]
    else if (view.log) { const room = (ys[1] / ys[0]) ** 0.04; ys = [ys[0] / room, ys[1] * room] }
    else { const room = 0.06 * (ys[1] - ys[0]); ys = [ys[0] - room, ys[1] + room] }
    if (xs[0] === xs[1]) return { xs: view.logX ? [xs[0] / 2, xs[1] * 2] : [xs[0] - 0.5, xs[1] + 0.5], ys }
    return { xs, ys }
  }

  function draw() {
    const width = Math.max(240, box.clientWidth)
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
    const { xs, ys } = bounds()
    const px = scale(xs, [LEFT, width - RIGHT], view.logX), py = scale(ys, [height - BOTTOM, TOP], view.log)
    view.scales = { px, py, xs }
    svg.replaceChildren()
    for (const tick of ticks(ys, view.log, 5)) {
      svg.append(s('line', { class: 'gridline', x1: LEFT, x2: width - RIGHT, y1: py(tick), y2: py(tick) }),
        s('text', { x: LEFT - 8, y: py(tick) + 4, 'text-anchor': 'end' }, axis(tick)))
    }
    for (const tick of ticks(xs, view.logX, Math.max(3, Math.floor(width / 110)))) {
      svg.append(s('text', { x: px(tick), y: height - BOTTOM + 17, 'text-anchor': 'middle' }, axis(tick)))
    }
    svg.append(s('text', { x: width - RIGHT, y: height - 1, 'text-anchor': 'end' }, x), s('text', { x: LEFT, y: 4, 'dominant-baseline': 'middle' }, y))
    if (view.line !== null) svg.append(s('line', { class: 'cross', x1: LEFT, x2: width - RIGHT, y1: py(view.line), y2: py(view.line) }))
    const clip = s('clipPath', { id: `clip-${box.dataset.id ??= crypto.randomUUID()}` }, s('rect', { x: LEFT, y: 0, width: width - LEFT - RIGHT, height: height - BOTTOM + 2 }))
    svg.append(clip)
    view.series.forEach((line) => {
      const points = line.points.filter(([at, value]) => usable(at, view.logX) && usable(value, view.log))
      const d = points.map(([at, value], index) => `${index ? 'L' : 'M'}${px(at).toFixed(1)} ${py(value).toFixed(1)}`).join('')
      svg.append(s('path', { class: 'line', d, stroke: line.colour, 'clip-path': `url(#${clip.id})`, 'stroke-dasharray': line.dash }))
      if (markers) points.forEach(([at, value]) => svg.append(s('circle', { cx: px(at), cy: py(value), r: 4, fill: line.colour })))
    })
    if (view.drag) svg.append(s('rect', { class: 'zoom', x: Math.min(...view.drag), width: Math.abs(view.drag[1] - view.drag[0]), y: TOP, height: height - BOTTOM - TOP }))
    cursor(width)
  }

  function cursor(width) {
    tip.hidden = view.cursor === null || view.series.length === 0
    if (tip.hidden) return
    const { px } = view.scales
    const at = nearestX(view.cursor)
    if (at === null) { tip.hidden = true; return }
    svg.append(s('line', { class: 'cross', x1: px(at), x2: px(at), y1: TOP, y2: height - BOTTOM }))
    const rows = view.series.map((line) => [line, nearest(line.points, at)]).filter(([, point]) => point)
    tip.replaceChildren(h('div', { class: 'muted' }, `${x} ${short(at)}`), ...rows.map(([line, point]) =>
      h('div', {}, h('span', { style: { color: line.colour } }, '● '), `${line.name}: ${short(point[1])}`)))
    const left = px(at) + 12
    tip.style.left = left + tip.offsetWidth > width ? `${Math.max(0, px(at) - tip.offsetWidth - 12)}px` : `${left}px`
    box.setAttribute('aria-label', `${label}; ${x} ${short(at)}: ${rows.map(([line, point]) => `${line.name} ${short(point[1])}`).join(', ')}`)
  }

  function nearestX(value) {
    const all = view.series.flatMap((line) => line.points.map((point) => point[0])).filter((at) => at >= view.scales.xs[0] && at <= view.scales.xs[1])
    return all.length ? all.reduce((best, at) => Math.abs(at - value) < Math.abs(best - value) ? at : best) : null
  }

  const inside = (event) => (event.clientX - svg.getBoundingClientRect().left) * Math.max(240, box.clientWidth) / svg.getBoundingClientRect().width
  svg.addEventListener('pointerdown', (event) => { if (event.button === 0) { const at = inside(event); view.drag = [at, at]; svg.setPointerCapture(event.pointerId) } })
  svg.addEventListener('pointermove', (event) => {
    if (!view.scales) return
    if (view.drag) view.drag[1] = inside(event)
    view.cursor = view.scales.px.invert(inside(event))
    draw()
  })
  svg.addEventListener('pointerup', () => {
    if (view.drag && Math.abs(view.drag[1] - view.drag[0]) > 8) setZoom(view.drag.map(view.scales.px.invert).sort((a, b) => a - b))
    view.drag = null
    draw()
  })
  svg.addEventListener('pointerleave', () => { view.cursor = null; draw() })
  svg.addEventListener('dblclick', () => setZoom(null))
  box.addEventListener('keydown', (event) => {
    if (!view.scales) return
    const { xs } = view.scales, stride = (xs[1] - xs[0]) / 60
    if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      view.cursor = Math.min(xs[1], Math.max(xs[0], (view.cursor ?? xs[0]) + (event.key === 'ArrowRight' ? stride : -stride)))
      draw(); event.preventDefault()
    } else if (event.key === 'Escape') { setZoom(null) }
  })
  const reset = h('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => setZoom(null) }, 'Reset zoom')
  function setZoom(zoom) { view.zoom = zoom; reset.hidden = !zoom; draw() }

  new ResizeObserver(draw).observe(box)
  element.reset = reset
  element.set = (series, options = {}) => {
    Object.assign(view, options)
    view.series = series.map((line, index) => ({ colour: COLOURS[index % COLOURS.length], ...line }))
    legend.replaceChildren(...view.series.map((line) => h('span', {}, h('i', { class: line.dash ? 'dashed' : '', style: { borderColor: line.colour } }), line.name)))
    legend.hidden = view.series.length < 2
    draw()
  }
  return element
}

// A small line without axes.
export function spark(points, label) {
  const svg = s('svg', { class: 'spark', viewBox: '0 0 200 34', preserveAspectRatio: 'none', role: 'img', 'aria-label': label })
  const good = points.filter(([, value]) => value > 0)
  if (good.length < 2) return svg
  const px = scale(extent(good.map((point) => point[0])), [1, 199]), py = scale(extent(good.map((point) => Math.log(point[1]))), [31, 3])
  const d = good.map(([at, value], index) => `${index ? 'L' : 'M'}${px(at).toFixed(1)} ${py(Math.log(value)).toFixed(1)}`).join('')
  svg.append(s('path', { d: `${d}L199 34L1 34Z`, fill: 'var(--wash)' }), s('path', { d, fill: 'none', stroke: 'var(--accent)', 'stroke-width': 1.6, 'vector-effect': 'non-scaling-stroke' }))
  return svg
}

const axis = (tick) => Math.abs(tick) >= 1e6 || (tick !== 0 && Math.abs(tick) < 1e-3) ? tick.toExponential() : Number(tick.toPrecision(6)).toLocaleString('en', { maximumFractionDigits: 6 })

const usable = (value, log) => Number.isFinite(value) && (!log || value > 0)

function extent(values) {
  let low = Infinity, high = -Infinity
  for (const value of values) { if (value < low) low = value; if (value > high) high = value }
  return low <= high ? [low, high] : [0.1, 1] // nothing yet: a range that a log scale can have, too
}

function scale([a, b], [from, to], log = false) {
  const f = log ? Math.log : (value) => value, g = log ? Math.exp : (value) => value
  const width = f(b) - f(a) || 1
  const map = (value) => from + (f(value) - f(a)) / width * (to - from)
  map.invert = (pixel) => g(f(a) + (pixel - from) / (to - from) * width)
  return map
}

function ticks([low, high], log, count) {
  if (log) {
    const found = []
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const digit of Math.log10(high / low) > 2 ? [1] : Math.log10(high / low) > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]) found.push(digit * 10 ** power)
    }
    return found.filter((tick) => tick >= low && tick <= high)
  }
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((digit) => digit * power).find((size) => size >= rough)
  const found = []
  for (let tick = Math.ceil(low / step) * step; tick <= high + 1e-9 * step; tick += step) found.push(Math.abs(tick) < step * 1e-9 ? 0 : Number(tick.toPrecision(12)))
  return found
}

function nearest(points, at) {
  if (!points.length) return null
  let low = 0, high = points.length - 1
  while (high - low > 1) { const middle = (low + high) >> 1; if (points[middle][0] < at) low = middle; else high = middle }
  return Math.abs(points[low][0] - at) <= Math.abs(points[high][0] - at) ? points[low] : points[high]
}
