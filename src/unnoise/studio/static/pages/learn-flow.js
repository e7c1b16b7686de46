import { api, follow, post } from '/static/api.js'
import { card, field, h, select, short, toast } from '/static/dom.js'
import { optionFields } from '/static/forms.js'
import { plane } from '/static/plane.js'
import { player } from '/static/player.js'

export async function show(main, signal) {
  const registries = await api('/registries')
  if (signal.aborted) return
  const mixture = select([['ring', 'eight on a ring'], ['three', 'three, unequal'], ['two', 'two']], 'ring')
  const schedule = select(registries.schedules.map((entry) => entry.kind), 'rectified-flow')
  const sampler = select(registries.samplers.map((entry) => entry.kind), 'ddim', { onchange: options })
  const about = h('p', { class: 'muted small' }), box = h('div')
  let fields, found = null
  const view = plane('Samples in the plane, with the score around them')
  const moments = player(draw, 'Step of the sampler')
  function options() {
    const entry = registries.samplers.find((item) => item.kind === sampler.value)
    about.textContent = entry.about
    fields = optionFields(entry.options, { steps: sampler.value === 'ddpm' || sampler.value === 'langevin' ? 100 : 15 })
    box.replaceChildren(fields)
  }
  options()
  const go = h('button', { class: 'primary' }, 'Draw samples')
  const status = h('p', { class: 'muted small', role: 'status' })
  main.append(h('div', { class: 'split' }, h('form', { class: 'card', onsubmit: (event) => { event.preventDefault(); compute() } },
    h('p', { class: 'formula' }, '∇ log q', h('sub', {}, 't'), '(x) = −E[ε | x', h('sub', {}, 't'), ' = x] / σ', h('sub', {}, 't')),
    h('p', { class: 'muted small' }, 'The arrows are the exact score of the mixture at time t, computed by ', h('code', {}, 'unnoise.process.analytic.MixtureDenoiser'), '; the samplers are those of the package.'),
    field('Mixture', mixture), field('Schedule', schedule), field('Sampler', sampler), about, box, h('div', { class: 'actions' }, go), status),
  card(null, view.element, moments.element)))

  async function compute() {
    go.disabled = true
    status.textContent = 'Computing …'
    try {
      const job = await follow((await post('/learn/flow', { mixture: mixture.value, schedule: { kind: schedule.value }, sampler: { kind: sampler.value, ...fields.values() } })).id, {}, signal)
      if (job?.state === 'done') {
        found = job.result
        moments.length(found.steps.length)
        moments.at(0)
        moments.play()
      }
      status.textContent = ''
    } catch (error) { status.textContent = ''; toast(error.message) }
    go.disabled = false
  }
  function draw(index) {
    const moment = found?.steps[index]
    if (!moment) return ''
    const axis = Array.from({ length: found.field }, (_, at) => (2 * at / (found.field - 1) - 1) * moment.scale)
    view.clear(moment.scale)
    view.points(found.data.map(([x, y]) => [x * moment.alpha, y * moment.alpha]), 'var(--edge)', 3, 0.35)
    view.arrows(axis.flatMap((x) => axis.map((y) => [x, y])), moment.score, 'var(--edge)')
    view.points(moment.x, 'var(--accent)', 6, 0.85)
    return `t = ${short(moment.t)}`
  }
  signal.addEventListener('abort', moments.stop)
  await compute()
}
