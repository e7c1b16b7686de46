import { api, follow, post } from '/static/api.js'
import { card, field, h, progress, select, toast } from '/static/dom.js'
import { plane } from '/static/plane.js'
import { player } from '/static/player.js'

export async function show(main, signal) {
  const mixture = select([['ring', 'eight on a ring'], ['three', 'three, unequal'], ['two', 'two']], 'ring')
  const penalty = select([['0', 'none'], ['1', 'R1 on data, weight 1'], ['3', 'R1 on data, weight 3']], '0')
  const steps = h('input', { type: 'number', min: 100, max: 20000, step: 100, value: 2000 }), seed = h('input', { type: 'number', min: 0, value: 0 })
  const view = plane('Samples of the generator, data, and what the discriminator thinks')
  const bar = progress(0, 'Steps of the game')
  const moments = player(draw, 'Step of the game')
  let found = [], job = null
  const go = h('button', { class: 'primary' }, 'Play the game'), cancel = h('button', { type: 'button', onclick: () => job && api(`/jobs/${job.id}`, { method: 'DELETE' }) }, 'Stop')
  main.append(h('div', { class: 'split' }, h('form', { class: 'card', onsubmit: (event) => { event.preventDefault(); play() } },
    h('p', { class: 'formula' }, 'max', h('sub', {}, 'D'), ' E log D(x) + E log(1 − D(G(z))),  max', h('sub', {}, 'G'), ' E log D(G(z))'),
    h('p', { class: 'muted small' }, 'Grey points are data, blue ones what the generator makes; green is where the discriminator believes in data, red where it does not. The generator learns faster than its opponent: without a penalty it leaves most modes out and chases the few that the discriminator believes in; R1 (Mescheder et al. 2018) cures that. Computed by ', h('code', {}, 'unnoise.lectures.plane.Game'), '.'),
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
    view.points(found[0].data, 'var(--ink)', 3, 0.35)
    view.points(moment.x, 'var(--accent)', 6, 0.8)
    return `step ${moment.step}`
  }
  signal.addEventListener('abort', moments.stop)
  await play()
}
