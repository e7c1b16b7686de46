import { api, follow, post, upload } from '/static/api.js'
import { card, field, h, head, progress, replace, segments, select, short, toast } from '/static/dom.js'
import { easel } from '/static/easel.js'
import { runSelect } from '/static/forms.js'
import { picture } from '/static/tiles.js'

const TASKS = [['inpaint', 'Inpaint'], ['vary', 'Vary'], ['outpaint', 'Outpaint'], ['upscale', 'Upscale'], ['colourise', 'Colourise'], ['interpolate', 'Interpolate'], ['arithmetic', 'A − B + C'], ['invert', 'Invert']]
const ABOUT = {
  inpaint: 'Paint over what is to be drawn anew; everything else stays as it is, to the bit.',
  vary: 'Versions of the picture: the further from it, the greater the strength.',
  outpaint: 'The picture becomes a part of a larger one, and all around it is drawn.',
  upscale: 'The picture is made small and enlarged again with what the model knows.',
  colourise: 'Colours for a grey picture, whose luma stays. Needs a run of RGB images.',
  interpolate: 'Two seeds or pictures, and what lies between them: drag.',
  arithmetic: 'What makes B out of A, done to C, in the latents of the model.',
  invert: 'The picture as noise, and the picture that this noise gives back.',
}
const LATENT = { interpolate: ['A', 'B'], arithmetic: ['A', 'B', 'C'], invert: ['The picture'] }

export async function show(main, query, signal) {
  const { runs } = await api('/runs?limit=500')
  if (signal.aborted) return
  const able = runs.filter((run) => run.checkpoint !== null && run.checkpoint !== undefined)
  if (!able.length) {
    main.append(head('Edit', 'Change a picture with a run of yours.'), h('div', { class: 'empty' }, h('h2', {}, 'No run can edit yet'), h('p', {}, 'A run can as soon as it has saved a checkpoint.'), h('a', { class: 'button primary', href: '/train' }, 'Train a model')))
    return
  }
  let task = 'inpaint', kept = null
  const run = runSelect(able, query.get('run'), { onchange: () => { kept = null; begin() } })
  const canvas = easel()
  const options = h('div', { class: 'stack' }), about = h('p', { class: 'muted small' })
  const results = h('div', { class: 'stack' })
  const status = h('p', { class: 'muted small', role: 'status' })
  const bar = progress(0, 'Progress of the edit')
  const seed = h('input', { type: 'number', min: 0, value: 0 }), steps = h('input', { type: 'number', min: 1, max: 1000, value: 50 }), number = select(['1', '2', '4', '8'], '4')
  const go = h('button', { class: 'primary' }, 'Edit'), cancel = h('button', { type: 'button', disabled: true }, 'Cancel')
  const from = h('input', { type: 'number', min: 0, value: 3, 'aria-label': 'Seed of the picture' })
  let stop = null, controls = {}, givens = []

  const chosen = () => able.find((item) => item.run === run.value)
  const files = h('input', { type: 'file', accept: 'image/*', class: 'visually-hidden', tabIndex: -1, 'aria-label': 'A picture', onchange: () => files.files[0] && take(files.files[0]) })
  const source = h('div', { class: 'drop' }, h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => files.click() }, 'Choose a picture'), h('button', { type: 'button', onclick: () => drawn(Number(from.value)).then(take, (error) => toast(error.message)) }, 'or draw seed'), h('div', { style: { width: '76px' } }, from)), files, h('span', { class: 'small' }, 'Or drop or paste one. It is cut and resized to the run\u2019s images.'))
  source.addEventListener('dragover', (event) => { event.preventDefault(); source.classList.add('over') })
  source.addEventListener('dragleave', () => source.classList.remove('over'))
  source.addEventListener('drop', (event) => { event.preventDefault(); source.classList.remove('over'); if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]) })
  addEventListener('paste', (event) => { const file = [...event.clipboardData.files][0]; if (file) take(file) }, { signal })

  async function take(blob) {
    try {
      const found = await upload(blob, { run: run.value })
      kept = { blob, name: found.picture }
      canvas.show(await picture(`/api/pictures/${found.picture}.png`))
      status.textContent = ''
    } catch (error) { toast(error.message) }
  }

  // The image that the run draws from a seed, as a file.
  async function drawn(value) {
    status.textContent = `Drawing seed ${value} …`
    const job = await follow((await post('/sample', { run: run.value, seed: value, number: 1, sampler: chosen().sampler ? { kind: chosen().sampler.kind, steps: Math.min(50, chosen().sampler.steps ?? 50) } : null })).id, {}, signal)
    status.textContent = ''
    if (job?.state !== 'done') throw new Error(`the drawing was ${job?.state}`)
    return asFile(job.result.tiles)
  }

  function slider(label, value, min, max, step) {
    const output = h('output', { class: 'num' }, short(value))
    const input = h('input', { type: 'range', min, max, step, value, 'aria-label': label, oninput: () => { output.textContent = short(Number(input.value)) } })
    return [input, field(label, h('div', { class: 'scrub' }, h('span'), input, output))]
  }

  function choose(next) {
    task = next
    about.textContent = ABOUT[task]
    controls = {}
    givens = []
    const latent = task in LATENT, made = []
    if (task === 'vary') { const [input, element] = slider('Strength', 0.5, 0, 1, 0.05); controls.strength = () => Number(input.value); made.push(element) }
    if (task === 'upscale') { const input = select(['2', '4'], '2'); controls.factor = () => Number(input.value); made.push(field('Factor', input)) }
    if (task === 'outpaint') { const input = select(['centre', 'left', 'right', 'top', 'bottom', 'top-left', 'top-right', 'bottom-left', 'bottom-right'], 'centre'); controls.anchor = () => input.value; made.push(field('Where the picture lies', input)) }
    if (['inpaint', 'outpaint', 'upscale', 'colourise'].includes(task)) { const input = select([['', 'the usual'], 'pigdm', 'mmps', 'ddnm', 'dps', ...(task === 'inpaint' ? ['repaint'] : [])], ''); controls.method = () => input.value || null; made.push(field('Method', input)) }
    if (latent) LATENT[task].forEach((title, index) => { const item = given(title, index); givens.push(item); made.push(item.element) })
    replace(options, made)
    canvas.masking(task === 'inpaint')
    easelCard.hidden = latent
    number.closest('label').hidden = seed.closest('label').hidden = latent
    go.textContent = { interpolate: 'Compute what is between', arithmetic: 'Add', invert: 'Invert' }[task] ?? 'Edit'
    replace(results)
  }

  // One of the pictures or seeds of a task in latents.
  function given(title, index) {
    let blob = null
    const value = h('input', { type: 'number', min: 0, value: [3, 8, 5][index] })
    const shown = h('span', { class: 'muted small' }, task === 'invert' ? 'the picture of the seed' : 'a seed')
    const input = h('input', { type: 'file', accept: 'image/*', class: 'visually-hidden', tabIndex: -1, 'aria-label': `Picture ${title}`, onchange: () => { blob = input.files[0] ?? null; shown.textContent = blob ? blob.name : 'a seed' } })
    return {
      element: h('div', { class: 'fields' }, field(`${title}: seed`, value), h('div', { class: 'field' }, h('button', { type: 'button', onclick: () => input.click() }, 'Picture instead'), shown, input)),
      async body() {
        if (!blob && task !== 'invert') return { seed: Number(value.value) }
        return { picture: (await upload(blob ?? await drawn(Number(value.value)), { run: run.value })).picture }
      },
    }
  }

  const easelCard = card('Picture', source, canvas.element, canvas.tools)
  const form = h('form', { class: 'card', onsubmit: async (event) => { event.preventDefault(); await work() } }, field('Run', run), about, options,
    h('div', { class: 'fields' }, field('Steps', steps), field('Versions', number), field('First seed', seed)), h('div', { class: 'actions' }, go, cancel), bar, status)
  cancel.addEventListener('click', () => stop?.())
  main.append(head('Edit', 'Change a picture with a run of yours. The picture under the mask is never touched.'),
    segments('Task', TASKS, task, choose), h('div', { class: 'split' }, form, h('div', { class: 'stack' }, easelCard, results)))
  choose(task)
  begin()

  function begin() {
    steps.value = Math.min(50, chosen().sampler?.steps ?? 50)
    drawn(Number(from.value)).then(take, (error) => { status.textContent = error.message })
  }

  async function work() {
    go.disabled = true
    cancel.disabled = false
    bar.set(0)
    try { await (task in LATENT ? mixing() : editing()) } catch (error) { toast(error.message); status.textContent = error.message }
    go.disabled = false
    cancel.disabled = true
  }

  async function watched(job, handlers = {}) {
    stop = () => api(`/jobs/${job.id}`, { method: 'DELETE' }).catch((error) => toast(error.message))
    const found = await follow(job.id, {
      state: (now) => { status.textContent = { waiting: 'Waits until the device is free …', running: 'Working …', done: 'Done', cancelled: 'Cancelled', failed: now.error }[now.state] },
      step: (step) => { bar.set(step.index / step.of); status.textContent = `step ${step.index} of ${step.of}` },
      ...handlers,
    }, signal)
    return found?.state === 'done' ? found.result : null
  }

  async function editing() {
    if (!kept) throw new Error('choose a picture first, or draw one from a seed')
    if (task === 'inpaint' && canvas.empty()) throw new Error('paint over what is to be drawn anew first')
    const name = task === 'outpaint' ? (await upload(kept.blob, { run: run.value, factor: 2 })).picture : kept.name
    const mask = task === 'inpaint' ? (await upload(await canvas.mask(), { run: run.value, mask: 1 })).picture : null
    const values = Object.fromEntries(Object.entries(controls).map(([key, read]) => [key, read()]).filter(([, value]) => value !== null))
    const result = await watched(await post('/edit', { run: run.value, task, picture: name, mask, options: { ...values, steps: Number(steps.value) }, seed: Number(seed.value), number: Number(number.value) }))
    if (!result) return
    replace(results, card('Versions', h('div', { class: 'strip' }, version(result.before, 'given'), result.pictures.map((src, index) => version(src, `seed ${result.seeds[index]}`, true)))))
  }

  function version(src, text, usable) {
    return h('figure', {}, h('img', { class: 'pixels', src, alt: text }), h('figcaption', {}, text),
      usable && h('div', { class: 'actions' }, h('button', { type: 'button', class: 'small', onclick: async () => { await take(await asFile(src)); canvas.element.scrollIntoView({ block: 'center', behavior: 'smooth' }) } }, 'Use'), h('a', { class: 'button small', href: src, download: `${task}-${text.replace(' ', '')}.png` }, 'Save')))
  }

  async function mixing() {
    const body = { run: run.value, task, givens: [], steps: Number(steps.value), count: 13 }
    for (const item of givens) body.givens.push(await item.body())
    if (task === 'interpolate') return between(body)
    const result = await watched(await post('/latents', body))
    if (!result) return
    const names = task === 'invert' ? ['the picture'] : ['A', 'B', 'C']
    replace(results, card(task === 'invert' ? `Back from noise: ${result.psnr.toFixed(1)} dB` : 'A − B + C', h('div', { class: 'strip' },
      result.given.map((src, index) => version(src, names[index])), version(result.image, task === 'invert' ? 'what its noise gives' : 'A − B + C'))))
  }

  async function between(body) {
    const frames = []
    const shown = h('img', { class: 'pixels tiles', alt: 'Between A and B', style: { maxWidth: '420px', margin: '0 auto' } })
    const drag = h('input', { type: 'range', min: 0, max: body.count - 1, step: 1, value: 0, 'aria-label': 'From A to B' })
    const strip = h('div', { class: 'strip' })
    function at(index) { const near = frames[index] ? index : frames.length - 1; if (frames[near]) { shown.src = frames[near]; drag.setAttribute('aria-valuetext', `${Math.round(100 * near / (body.count - 1))} %`) } }
    drag.addEventListener('input', () => at(Number(drag.value)))
    replace(results, card('Between A and B', shown, h('div', { class: 'scrub' }, h('b', {}, 'A'), drag, h('b', {}, 'B')), strip))
    await watched(await post('/latents', body), { image: (item) => {
      frames[item.index] = item.image
      drag.value = item.index
      at(item.index)
      bar.set((item.index + 1) / item.of)
      strip.append(h('img', { class: 'pixels', src: item.image, alt: `${item.index + 1} of ${item.of}`, style: { width: '44px' } }))
    } })
  }
}

async function asFile(src) {
  const image = await picture(src)
  const canvas = h('canvas', { width: image.naturalWidth, height: image.naturalHeight })
  canvas.getContext('2d').drawImage(image, 0, 0)
  return new Promise((resolve) => canvas.toBlob(resolve))
}
