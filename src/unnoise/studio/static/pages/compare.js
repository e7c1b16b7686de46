import { api, follow, news, post, runPath } from '/static/api.js'
import { chart, COLOURS } from '/static/chart.js'
import { card, command, field, h, head, pill, replace, segments, select, short, table, toast, whole } from '/static/dom.js'
import { words } from '/static/forms.js'

const METRICS = ['fid', 'kid', 'precision', 'recall', 'modes', 'memorised', 'bpd']
const COLUMNS = [['run', 'Run'], ['sampler', 'Sampler'], ['steps', 'Steps'], ['fid', 'Distance'], ['kid', 'KID'], ['precision', 'Precision'], ['recall', 'Recall'], ['modes', 'Modes'], ['memorised', 'Copies'], ['bits_per_dim', 'Bits/dim'], ['seconds_per_image', 's per image']]

export async function show(main, query, signal) {
  const { runs } = await api('/runs?limit=200')
  if (signal.aborted) return
  const sound = runs.filter((run) => !run.error)
  const ticked = new Set(sound.slice(0, 2).map((run) => run.run))
  const cache = new Map()
  const picked = { key: 'loss', log: true }
  const plot = chart({ label: 'Curves of the chosen runs', height: 300 })
  const pictures = h('div', { class: 'two' })
  const measured = h('div', { class: 'stack' })

  const list = h('fieldset', {}, h('legend', {}, 'Runs'), sound.map((run) => h('label', { class: 'check' },
    h('input', { type: 'checkbox', checked: ticked.has(run.run), onchange: (event) => { if (event.target.checked) ticked.add(run.run); else ticked.delete(run.run); draw() } }), h('span', {}, run.run), h('span', { class: 'muted small' }, run.recipe))))

  async function draw() {
    const names = [...ticked]
    for (const name of names) if (!cache.has(name)) cache.set(name, (await api(`${runPath(name)}/metrics?points=400`)).curves)
    if (signal.aborted) return
    plot.set(names.map((name) => ({ name, points: cache.get(name)[picked.key] ?? [] })).filter((line) => line.points.length), { log: picked.log })
    replace(pictures, names.map((name) => sound.find((run) => run.run === name)).filter((run) => run.grid !== null).map((run) => h('figure', {},
      h('img', { class: 'pixels tiles', src: `/api${runPath(run.run)}/samples/${run.grid}.png`, alt: `Samples of ${run.run}`, loading: 'lazy' }), h('figcaption', {}, h('b', {}, run.run), `step ${whole(run.grid)}`))))
    drawMeasured()
  }

  let comparisons = []
  async function drawMeasured() {
    const rows = comparisons.flatMap((item) => item.table.map((row) => ({ ...row, comparison: item.comparison }))).filter((row) => ticked.has(row.run) || [...ticked].some((name) => name.endsWith(`/${row.run}`)))
    if (!rows.length) { replace(measured, h('p', { class: 'muted' }, 'The chosen runs have not been measured together yet.')); return }
    const used = COLUMNS.filter(([key]) => rows.some((row) => row[key] !== null && row[key] !== undefined))
    const cells = rows.map((row) => used.map(([key]) => typeof row[key] === 'number' ? short(row[key]) : row[key] ?? '–'))
    const reports = [...new Set(rows.map((row) => row.comparison))]
    replace(measured, table(used.map(([, title]) => title), cells, 'Measured'),
      h('div', { class: 'actions' }, reports.map((name, index) => h('a', { class: 'button', href: `/api/comparisons/${name}/report.html`, target: '_blank' }, reports.length > 1 ? `Whole report ${index + 1}` : 'Whole report'))),
      h('div', { class: 'two' }, against(rows, 'steps', 'fid', 'Distance against network calls', 'calls', true), against(rows, 'seconds_per_image', 'fid', 'Distance against time', 's per image', true), against(rows, 'recall', 'precision', 'Precision against recall', 'recall', false)))
  }

  const metrics = METRICS.map((name) => [name, h('input', { type: 'checkbox', checked: ['fid', 'precision', 'recall'].includes(name) })])
  const samplers = h('input', { value: 'ddim', placeholder: 'ddim, heun@20' }), steps = h('input', { value: '10, 50' })
  const number = h('input', { type: 'number', min: 2, value: 500 }), started = h('div', { class: 'stack' })
  const parts = (text) => text.split(/[\s,]+/).filter(Boolean)
  const form = h('form', { class: 'stack', onsubmit: async (event) => {
    event.preventDefault()
    try {
      const job = await post('/compare', { runs: [...ticked], samplers: parts(samplers.value), steps: parts(steps.value).map(Number), metrics: metrics.filter(([, box]) => box.checked).map(([name]) => name), number: Number(number.value) })
      replace(started, h('p', { class: 'note', role: 'status' }, 'Queued. The table appears here when it is done; the same in a terminal:'), command(job.command))
      await follow(job.id, {}, signal)
      comparisons = (await api('/comparisons')).comparisons
      replace(started, h('p', { class: 'note', role: 'status' }, 'Measured.'))
      drawMeasured()
    } catch (error) { replace(started, h('p', { class: 'note bad', role: 'alert' }, error.message)) }
  } }, h('div', { class: 'fields' }, field('Samplers', samplers), field('Steps', steps), field('Samples of each', number)),
  h('fieldset', {}, h('legend', {}, 'Metrics'), h('div', { class: 'actions' }, metrics.map(([name, box]) => h('label', { class: 'check' }, box, h('span', {}, name))))),
  h('div', { class: 'actions' }, h('button', { class: 'primary' }, 'Measure the chosen runs')), started)

  main.append(head('Compare', 'Tick runs: their curves over each other, their samples of the same seeds, and what was measured of them.'))
  if (!sound.length) { main.append(h('div', { class: 'empty' }, h('h2', {}, 'No runs yet'), h('a', { class: 'button primary', href: '/train' }, 'Train a model'))); return }
  main.append(h('div', { class: 'split' }, h('div', { class: 'stack' }, card(null, list), card('Measure', form)), h('div', { class: 'stack' },
    card('Curves', h('div', { class: 'bar' }, segments('What is drawn', ['loss', 'validation_loss', 'copies', 'images_per_second'].map((key) => [key, words(key)]), 'loss', (key) => { picked.key = key; draw() }),
      h('div', { class: 'actions' }, plot.reset, segments('Scale', [['log', 'log'], ['linear', 'linear']], 'log', (scale) => { picked.log = scale === 'log'; draw() }))), plot),
    card('Samples of the same seeds', pictures), card('Measured', measured))))
  comparisons = (await api('/comparisons')).comparisons
  await draw()
}

function against(rows, x, y, title, label, log) {
  const lines = new Map()
  for (const row of rows) {
    if (typeof row[x] !== 'number' || typeof row[y] !== 'number') continue
    const name = [row.run, row.sampler].filter(Boolean).join(', ')
    lines.set(name, [...(lines.get(name) ?? []), [row[x], row[y]]])
  }
  if (!lines.size) return null
  const plot = chart({ label: title, x: label, y, height: 230, markers: true })
  plot.set([...lines].map(([name, points]) => ({ name, points: points.sort((a, b) => a[0] - b[0]) })), { log, logX: log })
  return h('div', { class: 'stack' }, h('h3', {}, title), plot)
}
