// A picture and, over it, a mask of its own: painting never touches the picture. The mask has the picture's pixels.
import { h, segments } from '/static/dom.js'

export function easel() {
  const view = { width: 8, height: 8, mask: new Uint8Array(64), tool: 'brush', size: 2, zoom: 1, x: 0, y: 0, past: [], cursor: [4, 4] }
  const back = h('canvas', { class: 'pixels' }), front = h('canvas', { class: 'pixels mask' })
  const sheet = h('div', { class: 'sheet' }, back, front)
  const frame = h('div', { class: 'easel', tabIndex: 0, role: 'application', 'aria-label': 'Mask: arrow keys move, space paints, plus and minus zoom' }, sheet)
  const size = h('input', { type: 'range', min: 1, max: 24, value: 2, 'aria-label': 'Size of the brush', oninput: () => { view.size = Number(size.value) } })
  const tools = h('div', { class: 'bar' },
    segments('Tool', [['brush', 'Brush'], ['eraser', 'Eraser'], ['pan', 'Move']], 'brush', (tool) => { view.tool = tool }),
    h('label', { class: 'check small' }, h('span', {}, 'Size'), size),
    h('div', { class: 'actions' },
      h('button', { type: 'button', onclick: undo }, 'Undo'), h('button', { type: 'button', onclick: invert }, 'Invert mask'), h('button', { type: 'button', onclick: clear }, 'Clear'),
      h('button', { type: 'button', 'aria-label': 'Zoom out', onclick: () => zoom(1 / 1.5) }, '−'), h('button', { type: 'button', 'aria-label': 'Zoom in', onclick: () => zoom(1.5) }, '+')))

  function remember() { view.past.push(view.mask.slice()); if (view.past.length > 50) view.past.shift() }
  function undo() { if (view.past.length) { view.mask = view.past.pop(); drawMask() } }
  function invert() { remember(); view.mask = view.mask.map((value) => 1 - value); drawMask() }
  function clear() { remember(); view.mask.fill(0); drawMask() }
  function drawMask() {
    const paint = front.getContext('2d'), data = paint.createImageData(view.width, view.height)
    view.mask.forEach((value, index) => { if (value) data.data.set([226, 59, 112, 255], 4 * index) })
    paint.putImageData(data, 0, 0)
    front.dispatchEvent(new Event('painted', { bubbles: true }))
  }
  function paint(x, y) {
    const radius = Math.max(0.5, view.size / 2), value = view.tool === 'eraser' ? 0 : 1
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(view.height - 1, y + radius); row++) {
      for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(view.width - 1, x + radius); column++) {
        const near = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius ** 2
        if (near || (Math.floor(x) === column && Math.floor(y) === row)) view.mask[row * view.width + column] = value
      }
    }
  }
  function place() {
    const limit = frame.clientWidth * (view.zoom - 1)
    view.x = Math.min(0, Math.max(-limit, view.x))
    view.y = Math.min(0, Math.max(-limit, view.y))
    sheet.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`
  }
  function zoom(factor, px = frame.clientWidth / 2, py = frame.clientHeight / 2) {
    const next = Math.min(10, Math.max(1, view.zoom * factor)), ratio = next / view.zoom
    view.x = px - (px - view.x) * ratio
    view.y = py - (py - view.y) * ratio
    view.zoom = next
    place()
  }
  function at(event) {
    const box = front.getBoundingClientRect()
    return [(event.clientX - box.left) / box.width * view.width, (event.clientY - box.top) / box.height * view.height]
  }
  let last = null
  frame.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return
    frame.setPointerCapture(event.pointerId)
    if (view.tool === 'pan') { last = [event.clientX, event.clientY]; return }
    remember()
    last = at(event)
    paint(...last)
    drawMask()
  })
  frame.addEventListener('pointermove', (event) => {
    if (!last) return
    if (view.tool === 'pan') {
      view.x += event.clientX - last[0]
      view.y += event.clientY - last[1]
      last = [event.clientX, event.clientY]
      place()
      return
    }
    for (const one of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
      const next = at(one), steps = Math.ceil(2 * Math.hypot(next[0] - last[0], next[1] - last[1])) || 1
      for (let step = 1; step <= steps; step++) paint(last[0] + (next[0] - last[0]) * step / steps, last[1] + (next[1] - last[1]) * step / steps)
      last = next
    }
    drawMask()
  })
  for (const name of ['pointerup', 'pointercancel']) frame.addEventListener(name, () => { last = null })
  frame.addEventListener('wheel', (event) => {
    event.preventDefault()
    const box = frame.getBoundingClientRect()
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - box.left, event.clientY - box.top)
  }, { passive: false })
  frame.addEventListener('keydown', (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
    if (moves[event.key]) view.cursor = [Math.min(view.width - 1, Math.max(0, view.cursor[0] + moves[event.key][0])), Math.min(view.height - 1, Math.max(0, view.cursor[1] + moves[event.key][1]))]
    else if (event.key === ' ') { remember(); paint(view.cursor[0] + 0.5, view.cursor[1] + 0.5) }
    else if (event.key === '+') zoom(1.5)
    else if (event.key === '-') zoom(1 / 1.5)
    else if (event.key === 'z' && (event.ctrlKey || event.metaKey)) undo()
    else return
    event.preventDefault()
    drawMask()
    const pen = front.getContext('2d')
    pen.fillStyle = '#2f4bd8'
    pen.fillRect(view.cursor[0], view.cursor[1], 1, 1)
  })

  return {
    element: frame,
    tools,
    show(image) {
      const same = image.naturalWidth === view.width && image.naturalHeight === view.height
      Object.assign(view, { width: image.naturalWidth, height: image.naturalHeight })
      for (const canvas of [back, front]) { canvas.width = view.width; canvas.height = view.height }
      frame.style.aspectRatio = `${view.width} / ${view.height}`
      if (!same) { view.mask = new Uint8Array(view.width * view.height); view.past = []; view.cursor = [view.width >> 1, view.height >> 1] }
      size.max = Math.max(4, Math.round(view.width / 2))
      if (!same) { size.value = Math.max(2, Math.round(view.width / 8)); view.size = Number(size.value) }
      back.getContext('2d').drawImage(image, 0, 0)
      drawMask()
    },
    masking(on) { front.hidden = !on; tools.hidden = !on },
    empty: () => !view.mask.some(Boolean),
    async mask() {
      const canvas = h('canvas', { width: view.width, height: view.height }), pen = canvas.getContext('2d'), data = pen.createImageData(view.width, view.height)
      view.mask.forEach((value, index) => data.data.set([value * 255, value * 255, value * 255, 255], 4 * index))
      pen.putImageData(data, 0, 0)
      return new Promise((resolve) => canvas.toBlob(resolve))
    },
  }
}
