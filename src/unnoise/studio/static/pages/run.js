import { api, follow, logOf, news, post, runPath, state } from '/static/api.js'
import { chart, COLOURS } from '/static/chart.js'
import { ago, card, command, duration, facts, field, h, head, pill, progress, replace, segments, select, short, table, toast, whole } from '/static/dom.js'
import { game } from '/static/pages/game.js'
import { fraction } from '/static/pages/runs.js'
import { words } from '/static/forms.js'

const FIRST = ['loss', 'validation_loss', 'held_out_losses', 'copies', 'images_per_second']
const BY_LEVEL = { held_out_losses: 'Held-out loss by noise level', training_losses: 'Training loss by noise level' }
const title = (key) => BY_LEVEL[key] ?? words(key)
const MEASURES = ['fid', 'kid', 'inception_score', 'precision', 'recall', 'density', 'coverage', 'memorised']

export async function show(main, query, signal) {
  const name = query.get('run') ?? ''
  let run = await api(runPath(name))
  if (signal.aborted) return
  const status = h('span')
  const actions = h('div', { class: 'actions' })
  const top = head(name, null, actions)
  top.firstChild.append(h('div', { class: 'actions' }, status, h('span', { class: 'muted small' }, run.error ? '' : `${run.recipe} on ${run.source.replace(/^builtin:/, '').split(/[\\/]/).pop()}`)))
  main.append(top)
  if (run.error) { main.append(h('p', { class: 'note bad' }, run.error)); return }
  const live = h('section', { class: 'card', 'aria-label': 'Progress' })
  const pictures = grids(run)
  const drawn = curves(name, run, signal)
  main.append(live, h('div', { class: 'two' }, pictures.element, drawn.element), drawn.game, measured(run), checkpointCard(run), configuration(run), logCard(name, signal))

  function draw() {
    replace(status, pill(run.state))
    replace(actions, ...buttons(run))
    replace(live, run.state === 'training' && progress(fraction(run), 'Progress'), facts([
      ['Step', `${whole(run.step)} of ${whole(run.steps)}`],
      ['Loss', short(run.loss)],
      ['Held-out loss', run.validation_loss === null ? null : short(run.validation_loss)],
      ['Speed', run.images_per_second ? `${whole(Math.round(run.images_per_second))} images/s` : null],
      ['Trained', duration(run.seconds)],
      [run.state === 'training' ? 'Left' : 'Left to its limit', run.left ? duration(run.left) : null],
      ['Copies', run.copies === null ? null : `${Math.round(100 * run.copies)} %`],
      ['Last written', ago(run.updated)],
    ]), run.copies >= 0.1 && h('p', { class: 'note warn' }, `${Math.round(100 * run.copies)} % of the drawn samples are near-copies of training images. An earlier checkpoint copies less; more images would help.`))
  }
  draw()
  const offset = await drawn.loaded
  if (signal.aborted) return
  const source = new EventSource(`/api${runPath(name)}/events?offset=${offset}`)
  signal.addEventListener('abort', () => source.close())
  source.addEventListener('summary', (event) => {
    run = { ...run, ...JSON.parse(event.data) }
    draw()
    if (run.grid !== null) pictures.add(run.grid)
  })
  source.addEventListener('metrics', (event) => main.dispatchEvent(new CustomEvent('metrics', { detail: JSON.parse(event.data).lines })))
}

function buttons(run) {
  const at = new URLSearchParams({ run: run.run })
  const stop = h('button', { type: 'button', onclick: async (event) => {
    event.target.disabled = true
    await post(`${runPath(run.run)}/stop`).then(() => toast('It finishes its step, saves and stops.'), (error) => toast(error.message))
  } }, 'Stop politely')
  const on = h('button', { type: 'button', onclick: () => goOn(run) }, 'Go on')
  return [run.state === 'training' ? stop : on,
    h('a', { class: 'button', href: `/edit?${at}` }, 'Edit'), h('a', { class: 'button primary', href: `/sample?${at}` }, 'Sample')]
}

function goOn(run) {
  const minutes = h('input', { type: 'number', min: 0, step: 'any', value: run.minutes ? run.minutes + 10 : '' })
  const steps = h('input', { type: 'number', min: 1, value: run.steps })
  const dialog = h('dialog', { 'aria-labelledby': 'goon' })
  const start = async (event) => {
    event.preventDefault()
    const body = { steps: Number(steps.value) }
    if (minutes.value) body.minutes = Number(minutes.value)
    await post(`${runPath(run.run)}/go-on`, body).then(() => { dialog.close(); toast('Queued: it resumes from its last checkpoint.') }, (error) => toast(error.message))
  }
  dialog.append(h('form', { class: 'stack', onsubmit: start }, h('h2', { id: 'goon' }, `Go on with ${run.run}`),
    h('p', { class: 'muted' }, 'It resumes from its last checkpoint, as if it had never stopped. Limits count over all sessions.'),
    h('div', { class: 'fields' }, field('Stop after minutes', minutes), field('or after steps', steps)),
    h('div', { class: 'actions' }, h('button', { class: 'primary' }, 'Go on'), h('button', { type: 'button', onclick: () => dialog.close() }, 'Leave it'))))
  document.body.append(dialog)
  dialog.addEventListener('close', () => dialog.remove())
  dialog.showModal()
}

function grids(run) {
  const steps = [...run.grids]
  const image = h('img', { class: 'pixels tiles', alt: '', tabIndex: 0, role: 'button' })
  const caption = h('span', { class: 'num' })
  const slider = h('input', { type: 'range', min: 0, max: 0, 'aria-label': 'Step at which the picture was drawn' })
  const body = h('div', { class: 'stack' }, image, h('div', { class: 'scrub' }, caption, slider, h('span')),
    h('p', { class: 'muted small' }, 'Choose an image to see the training images nearest to it.'))
  const empty = h('p', { class: 'muted' }, 'No picture has been drawn yet.')
  let at = steps.length - 1
  function draw() {
    body.hidden = !steps.length
    empty.hidden = steps.length > 0
    if (!steps.length) return
    slider.max = steps.length - 1
    slider.value = at
    slider.setAttribute('aria-valuetext', `step ${steps[at]}`)
    image.src = `/api${runPath(run.run)}/samples/${steps[at]}.png`
    image.alt = `Samples at step ${steps[at]}`
    caption.textContent = `step ${whole(steps[at])}`
  }
  slider.addEventListener('input', () => { at = Number(slider.value); draw() })
  image.addEventListener('click', (event) => nearest(run, steps[at], cellAt(run, image, event)))
  image.addEventListener('keydown', (event) => { if (event.key === 'Enter') nearest(run, steps[at], 0) })
  draw()
  return {
    element: card('Samples over time', body, empty),
    add(step) {
      if (steps.includes(step)) return
      const last = at === steps.length - 1
      steps.push(step)
      if (last) at = steps.length - 1
      draw()
    },
  }
}

function cellAt(run, image, event) {
  const [, height, width] = run.shape, scale = Math.max(1, Math.floor(64 / Math.max(height, width)))
  const box = image.getBoundingClientRect()
  const x = (event.clientX - box.left) / box.width * image.naturalWidth, y = (event.clientY - box.top) / box.height * image.naturalHeight
  const columns = Math.floor((image.naturalWidth - 2) / (width * scale + 2))
  return Math.min(columns - 1, Math.floor(x / (width * scale + 2))) + columns * Math.floor(y / (height * scale + 2))
}

async function nearest(run, step, cell) {
  const body = h('div', { class: 'stack' }, h('h2', { id: 'near' }, 'Nearest training images'), h('p', { class: 'muted', role: 'status' }, 'Looking …'))
  const dialog = h('dialog', { 'aria-labelledby': 'near' }, body)
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
  const close = h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => dialog.close() }, 'Close'))
  try {
    const job = await follow((await post('/nearest', { run: run.run, step, cell })).id)
    const found = job.result
    const shown = (src, text) => h('figure', {}, h('img', { class: 'pixels', src, alt: text }), h('figcaption', {}, text))
    replace(body, h('h2', { id: 'near' }, 'Nearest training images'),
      h('p', { class: 'muted small' }, `Of ${whole(found.images)}, by root mean square difference of pixels (0 to 255).`),
      h('div', { class: 'strip' }, shown(found.sample, 'the sample'), found.nearest.map((item) => shown(item.image, `${short(item.distance)} away`))), close)
  } catch (error) { replace(body, h('h2', { id: 'near' }, 'Nearest training images'), h('p', { class: 'note bad' }, error.message), close) }
}

function curves(name, run, signal) {
  const plot = chart({ label: `Curves of ${name}`, height: 300 })
  const picked = { key: 'loss', log: true, other: '' }
  const others = {}
  const keys = h('div')
  let own = {}, histograms = []
  const players = game(run.classes ?? run.config.found?.classes ?? [])
  const overlay = select([['', 'no other run']], '', { 'aria-label': 'Lay another run over it', onchange: async () => {
    picked.other = overlay.value
    if (picked.other && !others[picked.other]) others[picked.other] = (await api(`${runPath(picked.other)}/metrics`)).curves
    draw()
  } })
  api('/runs?limit=200').then(({ runs }) => overlay.append(...runs.filter((other) => other.run !== name && !other.error).map((other) => h('option', { value: other.run }, other.run))))

  function draw() {
    const series = linesOf(own, picked.key, name)
    if (picked.key === 'loss' && own.validation_loss) series.push({ name: 'held-out', points: own.validation_loss, dash: '5 4' })
    if (picked.other) series.push(...linesOf(others[picked.other] ?? {}, picked.key, picked.other).map((line, index) => series.length > 2 ? { ...line, colour: COLOURS[index % COLOURS.length], dash: '2 3' } : line))
    const positive = series.every((line) => line.points.every(([, value]) => value > 0)) // a generator's loss may not be
    plot.set(series, { log: picked.log && positive && picked.key !== 'copies' })
    players.set(own, histograms)
  }
  function choices() {
    const found = [...new Set(Object.keys(own).map((key) => key.split('.')[0]))]
    const names = [...FIRST.filter((key) => found.includes(key)), ...found.filter((key) => !FIRST.includes(key))]
    replace(keys, names.length > 4
      ? field('What', select(names.map((key) => [key, title(key)]), picked.key, { onchange: (event) => { picked.key = event.target.value; draw() } }))
      : segments('What is drawn', names.map((key) => [key, title(key)]), picked.key, (key) => { picked.key = key; draw() }))
  }
  const loaded = api(`${runPath(name)}/metrics`).then((found) => { own = found.curves; histograms = found.histograms; choices(); draw(); return found.offset })
  document.getElementById('main').addEventListener('metrics', (event) => {
    const known = Object.keys(own).length
    for (const line of event.detail) {
      if (line.class_fractions) histograms = [...histograms, line]
      for (const [key, value] of numbers(line)) (own[key] ??= []).push([line.step, value])
    }
    if (Object.keys(own).length !== known) choices()
    draw()
  }, { signal })
  const element = card('Curves', h('div', { class: 'bar' }, keys, h('div', { class: 'actions' }, plot.reset,
    segments('Scale', [['log', 'log'], ['linear', 'linear']], 'log', (scale) => { picked.log = scale === 'log'; draw() }))),
  plot, field('Over it', overlay))
  return { element, loaded, game: players.element }
}

// What a line of metrics.jsonl measures; a list or a table of numbers gives one value per entry: 'key.entry'.
function numbers(line) {
  const { step, time, class_fractions, class_fractions_data, ...values } = line // the histograms of `game`
  return Object.entries(values).flatMap(([key, value]) => {
    if (value === null || typeof value !== 'object') return [[key, value]]
    const entries = Array.isArray(value) ? value.map((item, index) => [index + 1, item]) : Object.entries(value)
    return entries.map(([name, item]) => [`${key}.${name}`, item])
  }).filter(([, value]) => typeof value === 'number')
}

// The lines of a key: its own, or one for each noise level.
function linesOf(curves, key, name) {
  if (key in curves) return [{ name, points: curves[key] }]
  return Object.keys(curves).filter((own) => own.startsWith(`${key}.`)).map((own, index) => {
    const entry = own.slice(key.length + 1)
    return { name: key in BY_LEVEL ? `level ${entry}${index ? '' : ', the least noise'}` : entry, points: curves[own] }
  })
}

function measured(run) {
  if (!run.evaluations.length) return card('Measured', h('p', { class: 'muted' }, 'Nothing has been measured yet. ', h('a', { href: '/compare' }, 'Compare'), ' measures it, and so does:'), command(`unnoise evaluate ${run.run} --metrics fid,precision,recall`))
  const rows = run.evaluations.map((found) => {
    const values = MEASURES.filter((key) => typeof found[key] === 'number').map((key) => `${words(key)} ${short(found[key])}`)
    if (found.bits_per_dim) values.push(`${short(found.bits_per_dim.total)} bits/dim`)
    const how = [found.samples?.sampler, found.n && `${whole(found.n)} samples`, found.features && `features ${found.features}`, found.reference?.split && `against ${found.reference.split}`]
    return [whole(found.step), values.join(' · ') || found.file, how.filter(Boolean).join(', ')]
  })
  return card('Measured', table(['Step', 'Values', 'Conditions'], rows, 'Measured numbers'))
}

function checkpointCard(run) {
  if (!run.checkpoints.length) return null
  const best = run.checkpoints.at(-1).best?.[1]
  return card('Checkpoints', table(['Step', 'Images seen', 'Trained', 'Size', 'Note'], run.checkpoints.map((item) => [
    whole(item.step), whole(item.images), duration(item.seconds), `${(item.bytes / 2 ** 20).toFixed(1)} MiB`, item.step === best ? 'least held-out loss' : '']), 'Checkpoints'))
}

function configuration(run) {
  const rows = []
  const walk = (value, path) => {
    for (const [key, item] of Object.entries(value)) {
      const at = path ? `${path}.${key}` : key
      if (item && typeof item === 'object' && !Array.isArray(item)) walk(item, at)
      else rows.push([h('code', {}, at), Array.isArray(item) ? item.join(', ') : String(item)])
    }
  }
  walk(run.config, '')
  return card(null, h('details', {}, h('summary', {}, 'Configuration'), table(['Key', 'Value'], rows, 'Configuration')))
}

function logCard(name, signal) {
  const log = h('pre', { class: 'log', tabIndex: 0, 'aria-label': 'Log' })
  const element = card('Log', log)
  element.hidden = true
  async function load() {
    const job = state.jobs.find((item) => item.kind === 'train' && item.run === name)
    element.hidden = !job
    if (!job) return
    const text = await logOf(job.id)
    if (text !== null) { log.textContent = text || '…'; log.scrollTop = log.scrollHeight }
  }
  load()
  news.addEventListener('jobs', load, { signal })
  const timer = setInterval(load, 3000)
  signal.addEventListener('abort', () => clearInterval(timer))
  return element
}
