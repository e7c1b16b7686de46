// Images that come side by side in one picture, cut apart and drawn with gaps, every pixel whole.
import { h } from '/static/dom.js'

const GAP = 0.06

export async function picture(address) {
  const image = new Image()
  image.src = address
  await image.decode()
  return image
}

export function tileCanvas(label) {
  return h('canvas', { class: 'tiles pixels', role: 'img', 'aria-label': label, width: 512, height: 512 })
}

// shape: [channels, height, width] of one image.
export function drawTiles(canvas, image, count, [, height, width]) {
  const columns = Math.max(1, Math.round(image.naturalWidth / width))
  const rows = Math.ceil(count / columns)
  const factor = Math.max(1, Math.floor(640 / (columns * width * (1 + GAP))))
  const gap = count > 1 ? Math.max(1, Math.round(width * factor * GAP)) : 0
  const [wide, high] = [width * factor + gap, height * factor + gap]
  canvas.width = columns * wide + gap
  canvas.height = rows * high + gap
  const paint = canvas.getContext('2d')
  paint.imageSmoothingEnabled = false
  for (let index = 0; index < count; index++) {
    const [column, row] = [index % columns, Math.floor(index / columns)]
    paint.drawImage(image, column * width, row * height, width, height, gap + column * wide, gap + row * high, width * factor, height * factor)
  }
}
