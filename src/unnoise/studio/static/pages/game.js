// What a GAN's run shows beside its loss: how the two players stand, and which classes are drawn.
import { chart, COLOURS } from '/static/chart.js'
import { card, h, replace, s, short, whole } from '/static/dom.js'

const LEVEL = ['accuracy_real', 'accuracy_fake', 'diversity', 'recall']
const NORMS = ['grad_norm_generator', 'grad_norm_discriminator']
const NAMES = { accuracy_real: 'data that the discriminator tells', accuracy_fake: 'samples that it tells', diversity: 'diversity of samples', recall: 'recall', grad_norm_generator: 'gradient of the generator', grad_norm_discriminator: 'gradient of the discriminator' }
const WIDTH = 520, HEIGHT = 220, LEFT = 46, BOTTOM = 34, TOP = 8

export function game(classes) {
  const level = chart({ label: 'Accuracies of the discriminator and diversity of samples', height: 220 })
  const norms = chart({ label: 'Gradient norms of both players', height: 220 })
  const players = card('The two players', level, norms)
  const drawn = classHistogram(classes)
  const element = h('div', { class: 'two' }, players, drawn.element)
  const lines = (own, keys) => keys.filter((key) => key in own).map((key) => ({ name: NAMES[key], points: own[key] }))
  function set(own, histograms) {
    players.hidden = !('accuracy_real' in own)
    level.set(lines(own, LEVEL))
    norms.set(lines(own, NORMS), { log: true })
    drawn.set(histograms)
    element.hidden = players.hidden && !histograms.length
  }
  return { element, set }
}

function classHistogram(classes) {
  const bars = s('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' })
  const slider = h('input', { type: 'range', min: 0, max: 0, 'aria-label': 'Step at which the classes were counted' })
  const caption = h('span', { class: 'num' }), missing = h('p', { class: 'note warn' })
  const element = card('Classes drawn', h('p', { class: 'muted small' }, 'Bars: the fraction of samples that the nearest training image puts in each class. Lines: of the data.'),
    h('div', { class: 'chart' }, bars), h('div', { class: 'scrub' }, caption, slider, h('span')), missing)
  let found = [], at = 0
  function draw() {
    element.hidden = !found.length
    if (!found.length) return
    const { step, class_fractions: fractions, class_fractions_data: data } = found[at]
    const most = Math.max(...fractions, ...data), wide = (WIDTH - LEFT) / fractions.length
    const y = (value) => HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP)
    replace(bars, s('text', { x: LEFT - 8, y: TOP + 10, 'text-anchor': 'end' }, short(most)), s('text', { x: LEFT - 8, y: HEIGHT - BOTTOM, 'text-anchor': 'end' }, '0'),
      fractions.map((value, label) => s('rect', { x: LEFT + (label + 0.12) * wide, width: 0.76 * wide, y: y(value), height: HEIGHT - BOTTOM - y(value), fill: COLOURS[0] },
        s('title', {}, `${classes[label] ?? label}: ${short(value)} of samples, ${short(data[label])} of the data`))),
      data.map((value, label) => s('line', { x1: LEFT + (label + 0.05) * wide, x2: LEFT + (label + 0.95) * wide, y1: y(value), y2: y(value), stroke: COLOURS[1], 'stroke-width': 2.5 })),
      fractions.length <= 20 && fractions.map((_, label) => s('text', { x: LEFT + (label + 0.5) * wide, y: HEIGHT - BOTTOM + 18, 'text-anchor': 'middle' }, String(classes[label] ?? label).slice(0, 8))))
    const gone = fractions.map((value, label) => [value, label]).filter(([value, label]) => value < 0.1 * data[label])
    bars.setAttribute('aria-label', `Classes at step ${step}: ${fractions.map((value, label) => `${classes[label] ?? label} ${short(value)}`).join(', ')}`)
    Object.assign(slider, { max: found.length - 1, value: at })
    caption.textContent = `step ${whole(step)}`
    missing.hidden = !gone.length
    missing.textContent = `${gone.length} of ${fractions.length} classes have less than a tenth of the samples that they should have: ${gone.map(([, label]) => classes[label] ?? label).slice(0, 20).join(', ')}.`
  }
  slider.addEventListener('input', () => { at = Number(slider.value); draw() })
  return { element, set(newer) {
    if (at === found.length - 1 || !found.length) at = newer.length - 1
    found = newer
    draw()
  } }
}
