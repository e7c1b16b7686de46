import { api, follow, logOf, news, post, state } from '/static/api.js'
import { card, command, facts, field, h, head, pill, replace, table, toast, whole, select } from '/static/dom.js'

export async function show(main, query, signal) {
  const [{ sources }, { recipes }] = await Promise.all([api('/sources'), api('/recipes')])
  if (signal.aborted) return
  const chosen = { source: 'digits' }
  const report = h('div', { class: 'stack' })
  const source = h('select', { onchange: () => pick(source.value) })
  const names = { 'built-in': 'Come along', upload: 'Uploaded', folder: 'Folders of this studio' }
  function fillSources(list) {
    replace(source, Object.entries(names).map(([kind, title]) => {
      const items = list.filter((item) => item.kind === kind)
      return items.length > 0 && h('optgroup', { label: title }, items.map((item) => h('option', { value: item.source, selected: item.source === chosen.source }, item.source)))
    }))
  }

  async function pick(name) {
    chosen.source = name
    named()
    replace(report, h('p', { class: 'muted', role: 'status' }, `Looking into ${name} …`))
    try {
      const { result } = await follow((await post('/inspect', { source: name })).id, {}, signal)
      if (chosen.source === name && result?.report) replace(report, reported(result))
    } catch (error) { replace(report, h('p', { class: 'note bad', role: 'alert' }, error.message)) }
  }

  const recipe = select(recipes.map((item) => item.name), 'ddpm-digits', { onchange: describe })
  const about = h('div', { class: 'stack small muted' })
  function describe() {
    const item = recipes.find((entry) => entry.name === recipe.value)
    replace(about, h('p', {}, item.title), item.is && h('p', {}, h('b', {}, 'What it is: '), item.is), item.needs && h('p', {}, h('b', {}, 'Needs: '), item.needs), item.gives && h('p', {}, h('b', {}, 'Expect: '), item.gives))
    named()
  }
  const minutes = h('input', { type: 'range', min: 1, max: 120, step: 1, value: 5, 'aria-label': 'Minutes of training', oninput: () => { said.textContent = `${minutes.value} min` } })
  const said = h('output', { class: 'num' }, '5 min')
  const name = h('input', { required: true })
  const seed = h('input', { type: 'number', min: 0, value: 0 })
  const extra = h('textarea', { rows: 3, placeholder: 'train.batch_size=64\nmodel.network.channels=48' })
  let own = false
  name.addEventListener('input', () => { own = name.value !== '' })
  function named() { if (!own) name.value = `${chosen.source.split('/').pop().split('.')[0].replaceAll(':', '-')}-${recipe.value}` }

  const body = () => ({
    source: chosen.source, recipe: recipe.value, name: name.value, minutes: Number(minutes.value), seed: Number(seed.value),
    set: extra.value.split('\n').map((line) => line.trim()).filter(Boolean),
  })
  const planned = h('div', { class: 'stack' })
  const plan = h('button', { type: 'button', onclick: async () => {
    plan.disabled = true
    replace(planned, h('p', { class: 'muted', role: 'status' }, 'Measuring one step …'))
    try {
      const { result, state: outcome } = await follow((await post('/plan', body())).id, {}, signal)
      replace(planned, result?.lines ? h('pre', { tabIndex: 0 }, result.lines.join('\n')) : h('p', { class: 'note' }, `The plan was ${outcome}.`))
    } catch (error) { replace(planned, h('p', { class: 'note bad', role: 'alert' }, error.message)) }
    plan.disabled = false
  } }, 'Read the plan')
  const start = h('button', { type: 'submit', class: 'primary' }, 'Start training')
  const form = h('form', { class: 'stack', onsubmit: async (event) => {
    event.preventDefault()
    start.disabled = true
    try {
      const job = await post('/train', body())
      toast('Queued. The run appears as soon as it has begun.')
      replace(planned, h('p', { class: 'muted small' }, 'The same, in a terminal:'), command(job.command))
    } catch (error) { toast(error.message) }
    start.disabled = false
  } },
  card('2 · Recipe', field('Recipe', recipe), about, field('How long', h('div', { class: 'scrub' }, h('span'), minutes, said))),
  card('3 · Run', h('div', { class: 'fields' }, field('Name', name), field('Seed', seed)),
    h('details', {}, h('summary', {}, 'Change settings of the recipe'), field('One KEY=VALUE a line', extra)),
    planned, h('div', { class: 'actions' }, plan, start)))

  main.append(head('Train', 'From a folder of your images to a model: choose what it learns from, how, and for how long.'),
    h('div', { class: 'two' },
      h('div', { class: 'stack' }, card('1 · Images', field('Source', source), drop(async (name) => { fillSources((await api('/sources')).sources); source.value = name; pick(name) }), report)),
      h('div', { class: 'stack' }, form, queue(signal))))
  fillSources(sources)
  describe()
  pick('digits')
}

function reported({ report, sheet }) {
  const [channels, height, width] = report.shape
  const classes = Object.entries(report.classes)
  return [
    h('img', { src: sheet, alt: `Contact sheet of ${report.source}`, class: 'tiles pixels' }),
    facts([['Images', whole(report.count)], ['Packed as', `${width}×${height} ${{ 1: 'grey', 3: 'RGB', 4: 'RGBA' }[channels]}`], ['Classes', classes.length || 'none'], ['Duplicates', whole(report.duplicates)], ['Broken', whole(report.broken_count)]]),
    classes.length > 0 && h('p', { class: 'muted small' }, classes.slice(0, 20).map(([name, count]) => `${name} (${whole(count)})`).join(', ')),
    report.notes.map((note) => h('p', { class: 'note' }, note)),
    report.broken.length > 0 && h('details', {}, h('summary', {}, `${whole(report.broken_count)} files cannot be read`), table(['File', 'Why'], report.broken.map((file) => [file.name, file.reason]), 'Broken files')),
  ]
}

function drop(done) {
  const status = h('p', { role: 'status' })
  const files = h('input', { type: 'file', multiple: true, class: 'visually-hidden', tabIndex: -1, 'aria-label': 'Archive or pictures', onchange: () => send([...files.files].map((file) => [file.name, file])) })
  const folder = h('input', { type: 'file', class: 'visually-hidden', tabIndex: -1, 'aria-label': 'Folder of pictures', onchange: () => send([...folder.files].map((file) => [file.webkitRelativePath, file])) })
  folder.webkitdirectory = true
  const zone = h('div', { class: 'drop' }, h('p', {}, 'Drop a folder or an archive of images here'),
    h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => folder.click() }, 'Choose a folder'), h('button', { type: 'button', onclick: () => files.click() }, 'Choose an archive')), status, files, folder)
  zone.addEventListener('dragover', (event) => { event.preventDefault(); zone.classList.add('over') })
  zone.addEventListener('dragleave', () => zone.classList.remove('over'))
  zone.addEventListener('drop', async (event) => {
    event.preventDefault()
    zone.classList.remove('over')
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean)
    send((await Promise.all(entries.map((entry) => walk(entry, '')))).flat())
  })

  async function send(list) {
    if (!list.length) return
    const inFolder = list[0][0].includes('/')
    const base = (inFolder ? list[0][0].split('/')[0] : list[0][0].split('.')[0]).replace(/[^\w.+-]/g, '-').replace(/^[^A-Za-z0-9]+/, '').slice(0, 60) || 'images'
    let sent = 0, refused = 0, reason = ''
    for (const [path, file] of list) {
      const inner = inFolder ? path.split('/').slice(1).join('/') : path
      try {
        await api(`/uploads/${base}/${inner.split('/').map(encodeURIComponent).join('/')}`, { method: 'PUT', body: file })
        sent += 1
      } catch (error) { refused += 1; reason = error.message }
      status.textContent = `${whole(sent)} of ${whole(list.length)} sent${refused ? `, ${whole(refused)} left out: ${reason}` : ''}`
    }
    files.value = folder.value = ''
    if (sent) done(`uploads/${base}`)
  }
  return zone
}

async function walk(entry, base) {
  if (entry.isFile) return [[base + entry.name, await new Promise((resolve, reject) => entry.file(resolve, reject))]]
  const reader = entry.createReader(), found = []
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    if (!part.length) break
    found.push(...part)
  }
  return (await Promise.all(found.map((inner) => walk(inner, `${base}${entry.name}/`)))).flat()
}

function queue(signal) {
  const list = h('div', { class: 'stack' })
  const logs = new Map()
  function draw() {
    const jobs = state.jobs.filter((job) => job.kind === 'train' || job.kind === 'compare')
    if (!jobs.length) { replace(list, h('p', { class: 'muted' }, 'Nothing waits. Trainings run one after the other, and go on when this page or the studio is closed.')); return }
    replace(list, jobs.map((job) => {
      if (!logs.has(job.id)) logs.set(job.id, h('pre', { class: 'log', tabIndex: 0, 'aria-label': `Log of ${job.title}` }))
      const open = job.state === 'running' || job.state === 'failed'
      const link = job.run ? h('a', { href: `/run?${new URLSearchParams({ run: job.run })}` }, job.title) : job.title
      const stop = h('button', { type: 'button', onclick: () => api(`/jobs/${job.id}`, { method: 'DELETE' }).catch((error) => toast(error.message)) }, job.state === 'waiting' ? 'Remove' : 'Stop politely')
      return h('div', { class: 'stack', style: { gap: '8px' } },
        h('div', { class: 'bar' }, h('div', { class: 'actions' }, pill(job.state), h('b', {}, link)), ['waiting', 'running'].includes(job.state) && stop),
        job.error && h('p', { class: 'note bad' }, job.error), open && logs.get(job.id))
    }))
    load()
  }
  async function load() {
    for (const job of state.jobs.filter((item) => logs.has(item.id) && ['running', 'failed'].includes(item.state))) {
      const log = logs.get(job.id), text = await logOf(job.id)
      if (text !== null) { log.textContent = text || 'starting …'; log.scrollTop = log.scrollHeight }
    }
  }
  news.addEventListener('jobs', draw, { signal })
  const timer = setInterval(load, 2000)
  signal.addEventListener('abort', () => clearInterval(timer))
  draw()
  return card('Queue', list)
}
