import { api, follow, post } from '/static/api.js'
import { card, field, h, progress, select, toast } from '/static/dom.js'
import { plane } from '/static/plane.js'
import { player } from '/static/player.js'

export async function show(main, signal) {
  const mixture = select([['ring', 'eight on a ring'], ['three', 'three, unequal'], ['two', 'two']], 'ring')
  const penalty = select([['0', 'none: the classical game'], ['1', 'R1 on data, weight 1'], ['10', 'R1 on data, weight 10']], '0')
  const steps = h('input', { type: 'number', min: 100, max: 20000, step: 100, value: 2000 }), seed = h('input', { type: 'number', min: 0, value: 0 })
  const view = plane('Samples of the generator, data, and what the discriminator thinks')
  const bar = progress(0, 'Steps of the game')
  const moments = player(draw, 'Step of the game')
  let found = [], job = null
  const go = h('button', { class: 'primary' }, 'Play the game'), cancel = h('button', { type: 'button', onclick: () => job && api(`/jobs/${job.id}`, { method: 'DELETE' }) }, 'Stop')
  main.append(h('div', { class: 'split' }, h('form', { class: 'card', onsubmit: (event) => { event.preventDefault(); play() } },
    h('p', { class: 'formula' }, 'min', h('sub', {}, 'G'), ' max', h('sub', {}, 'D'), ' E log D(x) + E log(1 − D(G(z)))'),
    h('p', { class: 'muted small' }, 'Points are what the generator makes; green is where the discriminator believes in data, red where it does not. Without a penalty the generator chases one mode and then another; R1 (Mescheder et al. 2018) calms it. Computed by ', h('code', {}, 'unnoise.studio.tasks.collapse'), '.'),
    field('Mixture', mixture), field('Gradient penalty', penalty), h('div', { class: 'fields' }, field('Steps', steps), field('Seed', seed)), h('div', { class: 'actions' }, go, cancel), bar),
  card(null, view.element, moments.element)))
  async function play() {
    go.disabled = true
    found = []
    try {
      job = await post('/learn/collapse', { mixture: mixture.value, penalty: Number(penalty.value), steps: Number(steps.value), seed: Number(seed.value) })
      await follow(job.id, { moment: (moment) => { found.push(moment); moments.length(found.length); moments.at(found.length - 1); bar.set(moment.step / moment.of) } }, signal)
    } catch (error) { toast(error.message) }
    go.disabled = false
  }
  function draw(index) {
    const moment = found[index]
    if (!moment) return ''
    view.clear(2.4)
    view.values(moment.values, 25)
    view.points(moment.x, 'var(--accent)', 6, 0.8)
    return `step ${moment.step}`
  }
  signal.addEventListener('abort', moments.stop)
  await play()
}
