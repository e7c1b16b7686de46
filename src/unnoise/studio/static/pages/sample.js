import { api, follow, post } from '/static/api.js'
import { card, command, field, h, head, progress, replace, select, short, toast, whole } from '/static/dom.js'
import { optionFields, runSelect } from '/static/forms.js'
import { drawTiles, picture, tileCanvas } from '/static/tiles.js'

export async function show(main, query, signal) {
  const [{ runs }, registries] = await Promise.all([api('/runs?limit=500'), api('/registries')])
  if (signal.aborted) return
  const able = runs.filter((run) => run.checkpoint !== null && run.checkpoint !== undefined)
  if (!able.length) {
    main.append(head('Sample', 'Draw images from a run, and watch noise become them.'), h('div', { class: 'empty' }, h('h2', {}, 'No run can be sampled yet'), h('p', {}, 'A run can as soon as it has saved a checkpoint.'), h('a', { class: 'button primary', href: '/train' }, 'Train a model')))
    return
  }
  const run = runSelect(able, query.get('run'), { onchange: rebuild })
  const seed = h('input', { type: 'number', min: 0, value: 0 })
  const number = select(['1', '4', '9', '16', '25', '36', '64'], '16')
  const conditions = h('div', { class: 'stack' })
  const settings = [setting(registries), setting(registries)]
  const twice = h('input', { type: 'checkbox', onchange: () => { settings[1].element.hidden = !twice.checked; stages[1].element.hidden = !twice.checked } })
  const stages = [stage('First'), stage('Second')]
  settings[1].element.hidden = stages[1].element.hidden = true
  const draw = h('button', { class: 'primary' }, 'Draw')
  const cancel = h('button', { type: 'button', disabled: true }, 'Cancel')
  let asked = {}
  let stop = null
  const chosen = () => able.find((item) => item.run === run.value)

  function rebuild() {
    const item = chosen()
    for (const part of settings) part.use(item)
    asked = {}
    replace(conditions, conditionFields(item, asked))
  }
  const form = h('form', { class: 'card', onsubmit: async (event) => { event.preventDefault(); await drawAll() } },
    field('Run', run), h('div', { class: 'fields' }, field('First seed', seed), field('Images', number)),
    conditions, settings[0].element, h('label', { class: 'check' }, twice, h('span', {}, 'The same seeds under a second setting')), settings[1].element,
    h('div', { class: 'actions' }, draw, cancel))
  cancel.addEventListener('click', () => stop?.())
  main.append(head('Sample', 'The reverse process as it happens: what the sampler holds, and what the network makes of it.'),
    h('div', { class: 'split' }, form, h('div', { class: 'stack' }, stages.map((part) => part.element))))
  rebuild()

  async function drawAll() {
    draw.disabled = true
    cancel.disabled = false
    let cancelled = false
    try {
      for (const [index, part] of settings.entries()) {
        if (index && (!twice.checked || cancelled)) break
        const guidance = Number(asked.guidance?.value ?? 1)
        const body = { run: run.value, seed: Number(seed.value), number: Number(number.value), sampler: part.spec(), guidance }
        for (const name of ['label', 'prompt']) if (asked[name]?.value) body[name] = asked[name].value
        for (const name of ['map', 'image']) if (asked[name]?.files[0]) body[name] = (await api(`/pictures?${name === 'map' ? `run=${encodeURIComponent(run.value)}` : ''}`, { method: 'POST', body: asked[name].files[0] })).picture
        const vector = asked.vector?.()
        if (vector) body.vector = (await api('/vectors', { method: 'POST', body: vector })).vector
        const job = await post('/sample', body)
        stop = () => { cancelled = true; api(`/jobs/${job.id}`, { method: 'DELETE' }).catch((error) => toast(error.message)) }
        await stages[index].run(job, body.number, chosen(), signal)
      }
    } catch (error) { toast(error.message) }
    draw.disabled = false
    cancel.disabled = true
  }
}

// A sampler with its options, as the registry describes them; the run's own to begin with.
function setting(registries) {
  const options = h('div')
  const about = h('p', { class: 'muted small' })
  const kind = select(registries.samplers.map((entry) => entry.kind), 'ddim', { 'aria-label': 'Sampler', onchange: () => build(null) })
  const element = h('fieldset', {}, h('legend', {}, 'Sampler'), kind, about, options)
  let fields = null, none = false
  function build(own) {
    const entry = registries.samplers.find((item) => item.kind === kind.value)
    about.textContent = entry.about
    fields = optionFields(entry.options, own ?? (kind.value === 'ddpm' ? { steps: 250 } : {}))
    replace(options, fields)
  }
  return {
    element,
    use(run) {
      none = !run.sampler
      kind.disabled = none
      if (none) { about.textContent = 'This model draws in one step.'; replace(options); return }
      kind.value = run.sampler.kind
      build(run.sampler)
    },
    spec: () => none ? null : { kind: kind.value, ...fields.values() },
  }
}

function conditionFields(run, asked) {
  const fields = []
  const of = (kind) => run.conditions.includes(kind)
  if (of('class')) fields.push(field('Class', asked.label = select([['', 'any, each at random'], ...run.classes], '')))
  if (of('text')) fields.push(field('Prompt', asked.prompt = h('input', {})))
  if (of('map')) fields.push(field('Map of classes', asked.map = h('input', { type: 'file', accept: 'image/*' })))
  if (of('image')) fields.push(field('Small picture', asked.image = h('input', { type: 'file', accept: 'image/*' })))
  if (of('vector')) fields.push(...vectorFields(asked))
  if (run.conditions.length) fields.push(field('Guidance', asked.guidance = h('input', { type: 'number', step: 'any', min: 0, value: 1 }), '1 is none; higher is more typical and less various.'))
  if (asked.label) asked.label.options[0].textContent = 'none'
  return fields
}

// Numbers, pasted or in a file; a file wins.
function vectorFields(asked) {
  const numbers = h('textarea', { rows: 3, placeholder: '0.12, -1.5, 3, …', spellcheck: false })
  const file = h('input', { type: 'file', accept: '.npy,.txt,.csv,.json' })
  asked.vector = () => file.files[0] ?? (numbers.value.trim() || null)
  return [field('Vector', numbers, 'One row of numbers for all images, or a line for each.'), field('Or a file of them', file, '.npy, or text')]
}

// Where one sampling is seen: x_t beside x_0, the steps as a slider afterwards, downloads.
function stage(title) {
  const noisy = tileCanvas('x at time t'), clean = tileCanvas('The denoised image at time t')
  const now = h('span', { class: 'num' }), level = h('span', { class: 'num' })
  const bar = progress(0, `Steps of the ${title.toLowerCase()} sampling`)
  const status = h('p', { class: 'muted small', role: 'status' }, 'Choose a run and draw.')
  const slider = h('input', { type: 'range', min: 0, max: 0, value: 0, 'aria-label': 'Step', disabled: true })
  const play = h('button', { type: 'button', disabled: true }, 'Play')
  const extras = h('div', { class: 'stack' })
  const element = card(null, h('div', { class: 'stage pair' },
    h('figure', {}, noisy, h('figcaption', {}, h('span', {}, 'x', h('sub', {}, 't'), ', what the sampler holds'), now)),
    h('figure', {}, clean, h('figcaption', {}, h('span', {}, 'x', h('sub', {}, '0'), ', what the network predicts'), level))),
  bar, h('div', { class: 'scrub' }, play, slider, status), extras)
  element.setAttribute('aria-label', `${title} setting`)
  let frames = [], count = 1, shape = [1, 8, 8], playing = null

  async function at(index) {
    const frame = frames[index]
    if (!frame) return
    slider.value = index
    slider.setAttribute('aria-valuetext', `step ${frame.index} of ${frame.of}`)
    now.textContent = `t = ${short(frame.t)}`
    level.textContent = frame.log_snr === null ? '' : `log-SNR ${short(frame.log_snr)}`
    drawTiles(noisy, await picture(frame.x), count, shape)
    if (frame.x_0) drawTiles(clean, await picture(frame.x_0), count, shape)
    else clean.getContext('2d').clearRect(0, 0, clean.width, clean.height)
  }
  slider.addEventListener('input', () => at(Number(slider.value)))
  play.addEventListener('click', () => {
    if (playing) { clearInterval(playing); playing = null; play.textContent = 'Play'; return }
    let index = Number(slider.value) >= frames.length - 1 ? 0 : Number(slider.value)
    play.textContent = 'Pause'
    playing = setInterval(() => { at(index); if (++index >= frames.length) { clearInterval(playing); playing = null; play.textContent = 'Play' } }, 90)
  })

  return {
    element,
    async run(job, number, run, signal) {
      frames = []; count = number; shape = run.shape
      slider.disabled = play.disabled = true
      replace(extras)
      if (innerWidth < 1080) element.scrollIntoView({ block: 'start', behavior: 'smooth' })
      const begun = performance.now()
      const watched = await follow(job.id, {
        state: (now) => { if (now.state === 'waiting') status.textContent = 'Waits until the device is free …'; if (now.state === 'running') status.textContent = 'Drawing …' },
        frame: (frame) => { frames.push(frame); bar.set(frame.index / frame.of); slider.max = frames.length - 1; status.textContent = `step ${frame.index} of ${frame.of}`; at(frames.length - 1) },
        step: (step) => { bar.set(step.index / step.of); status.textContent = `step ${step.index} of ${step.of}` },
      }, signal)
      slider.disabled = play.disabled = frames.length < 2
      if (watched?.state === 'cancelled') { status.textContent = `cancelled at step ${frames.at(-1)?.index ?? 0}`; return }
      if (watched?.state !== 'done') return
      const { result } = watched
      status.textContent = `${whole(number)} ${number === 1 ? 'image' : 'images'} in ${((performance.now() - begun) / 1000).toFixed(1)} s`
      replace(extras, h('div', { class: 'actions' },
        h('a', { class: 'button', href: result.sheet, download: `${run.run}-${job.id.slice(0, 4)}.png` }, 'Download PNG'),
        frames.length > 1 && h('a', { class: 'button', href: `/api/jobs/${job.id}/steps.gif`, download: `${run.run}-${job.id.slice(0, 4)}.gif` }, 'Download GIF')),
      result.command && [h('p', { class: 'muted small' }, 'The same picture from a terminal:'), command(result.command)],
      h('details', {}, h('summary', {}, 'In Python'), command(result.python)))
    },
  }
}
