// A square of the plane with points, arrows and values.
import { h } from '/static/dom.js'

export function plane(label) {
  const canvas = h('canvas', { class: 'plane', width: 900, height: 900, role: 'img', 'aria-label': label })
  const pen = canvas.getContext('2d')
  let scale = 2.4
  const px = (x) => 450 + x / scale * 450, py = (y) => 450 - y / scale * 450
  return {
    element: canvas,
    clear(half) { scale = half; pen.clearRect(0, 0, 900, 900) },
    points(list, colour, radius, alpha = 1) {
      pen.fillStyle = resolve(canvas, colour)
      pen.globalAlpha = alpha
      for (const [x, y] of list) { pen.beginPath(); pen.arc(px(x), py(y), radius, 0, 7); pen.fill() }
      pen.globalAlpha = 1
    },
    arrows(at, vectors, colour) {
      const longest = Math.max(...vectors.map(([x, y]) => Math.hypot(x, y))) || 1, room = 900 / Math.sqrt(at.length) * 0.8
      pen.strokeStyle = resolve(canvas, colour)
      pen.lineWidth = 1.6
      at.forEach(([x, y], index) => {
        const [u, v] = vectors[index], size = Math.hypot(u, v) || 1, length = room * (size / longest) ** 0.4
        const [fx, fy] = [px(x), py(y)], [dx, dy] = [u / size * length, -v / size * length]
        pen.beginPath(); pen.moveTo(fx - dx / 2, fy - dy / 2); pen.lineTo(fx + dx / 2, fy + dy / 2)
        const [tx, ty] = [fx + dx / 2, fy + dy / 2]
        for (const side of [1, -1]) { pen.moveTo(tx, ty); pen.lineTo(tx - 0.28 * dx + side * 0.17 * dy, ty - 0.28 * dy - side * 0.17 * dx) }
        pen.stroke()
      })
    },
    values(list, side) {
      const edge = (index) => Math.round(index * 900 / side) // whole pixels: no seams, no overlaps
      list.forEach((value, index) => {
        pen.fillStyle = resolve(canvas, value > 0.5 ? 'var(--c3)' : 'var(--c6)')
        pen.globalAlpha = 0.55 * Math.abs(value - 0.5)
        const across = Math.floor(index / side), up = index % side
        pen.fillRect(edge(across), 900 - edge(up + 1), edge(across + 1) - edge(across), edge(up + 1) - edge(up))
      })
      pen.globalAlpha = 1
    },
    trails(paths, colour) {
      pen.strokeStyle = resolve(canvas, colour)
      pen.globalAlpha = 0.25
      pen.lineWidth = 1.2
      for (const path of paths) { pen.beginPath(); path.forEach(([x, y], index) => index ? pen.lineTo(px(x), py(y)) : pen.moveTo(px(x), py(y))); pen.stroke() }
      pen.globalAlpha = 1
    },
  }
}

// A canvas takes no variables: the colour that they stand for now.
function resolve(element, colour) {
  const probe = h('i', { style: { color: colour } })
  element.parentElement?.append(probe)
  const found = getComputedStyle(probe).color
  probe.remove()
  return found || '#888'
}
