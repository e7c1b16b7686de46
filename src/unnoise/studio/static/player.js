// A slider through moments, with a button that plays them.
import { h } from '/static/dom.js'

export function player(draw, label) {
  const slider = h('input', { type: 'range', min: 0, max: 0, value: 0, 'aria-label': label })
  const button = h('button', { type: 'button' }, 'Play'), text = h('output', { class: 'num small' })
  let timer = null
  const stop = () => { clearInterval(timer); timer = null; button.textContent = 'Play' }
  const at = (index) => { slider.value = index; text.textContent = draw(Number(index)) ?? '' }
  slider.addEventListener('input', () => { stop(); at(slider.value) })
  const play = () => {
    stop()
    let index = Number(slider.value) >= Number(slider.max) ? 0 : Number(slider.value)
    button.textContent = 'Pause'
    timer = setInterval(() => { at(index); if (++index > Number(slider.max)) stop() }, Math.max(60, Math.min(400, 4000 / (Number(slider.max) + 1))))
  }
  button.addEventListener('click', () => timer ? stop() : play())
  return { element: h('div', { class: 'scrub' }, button, slider, text), at, play, stop, length(count) { slider.max = count - 1 } }
}
