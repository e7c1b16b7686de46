import { api, news, runPath } from '/static/api.js'
import { spark } from '/static/chart.js'
import { ago, duration, h, head, pill, progress, replace, short, whole } from '/static/dom.js'

const MOST = 60

export async function show(main, query, signal) {
  const search = h('input', { type: 'search', placeholder: 'Find a run', 'aria-label': 'Find a run' })
  const cards = h('div', { class: 'cards' })
  const count = h('p', { class: 'muted' })
  const more = h('button', { type: 'button', hidden: true }, 'Show more')
  const known = new Map()
  let shown = MOST
  main.append(head('Runs', null, search, h('a', { class: 'button primary', href: '/train' }, 'Train a model')), count, cards, more)

  async function load() {
    const found = await api(`/runs?${new URLSearchParams({ limit: shown, query: search.value })}`)
    if (signal.aborted) return
    known.clear()
    count.textContent = `${whole(found.count)} ${found.count === 1 ? 'run' : 'runs'} in ${found.folder}`
    more.hidden = found.count <= shown
    replace(cards, found.runs.map((run) => { const element = runCard(run, signal); known.set(run.run, element); return element }))
    if (!found.count) {
      replace(cards)
      cards.append(h('div', { class: 'empty' }, h('h2', {}, search.value ? 'No run is called so' : 'No runs yet'),
        h('p', {}, search.value ? 'Try a part of its name.' : 'Train a model on your own images, or on the digits that come along.'),
        !search.value && h('a', { class: 'button primary', href: '/train' }, 'Train a model')))
    }
  }

  let timer
  search.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(load, 200) })
  more.addEventListener('click', () => { shown += MOST; load() })
  news.addEventListener('runs', (event) => {
    for (const run of event.detail) {
      if (known.has(run.run)) known.get(run.run).update(run)
      else if (!search.value) { clearTimeout(timer); timer = setTimeout(load, 300) }
    }
  }, { signal })
  await load()
}

function runCard(run, signal) {
  const element = h('article', { class: 'card run', 'aria-label': run.run })
  const visible = new IntersectionObserver(([entry]) => { if (entry.isIntersecting) { visible.disconnect(); line() } })
  signal.addEventListener('abort', () => visible.disconnect())
  let curve = []
  async function line() {
    curve = (await api(`${runPath(run.run)}/metrics?points=60&keys=loss`).catch(() => ({ curves: {} }))).curves.loss ?? []
    draw()
  }
  function draw() { replace(element, contents(run, curve)) }
  element.update = (newer) => {
    if (newer.loss && newer.step !== run.step) curve = [...curve, [newer.step, newer.loss]].slice(-120)
    run = newer
    draw()
  }
  draw()
  visible.observe(element)
  return element
}

function contents(run, curve) {
  const [channels, height, width] = run.shape ?? []
  const kinds = { 1: 'grey', 3: 'RGB', 4: 'RGBA' }
  return [
    h('div', { class: 'top' },
      h('div', { class: 'thumb' }, run.grid === null || run.grid === undefined ? 'no picture yet' : h('img', { class: 'pixels', src: `/api${runPath(run.run)}/samples/${run.grid}.png`, alt: `Drawn at step ${run.grid}`, loading: 'lazy' })),
      h('div', { class: 'who' },
        h('h2', {}, h('a', { href: `/run?${new URLSearchParams({ run: run.run })}` }, run.run)),
        h('div', {}, pill(run.state)),
        h('p', { class: 'muted small' }, run.error ?? `${run.recipe} · ${whole(run.images)} images, ${width}×${height} ${kinds[channels] ?? ''}`),
        run.copies >= 0.1 && h('p', { class: 'small', style: { color: 'var(--warn)' } }, `${Math.round(100 * run.copies)} % of the samples are copies`))),
    !run.error && h('div', { class: 'tail' },
      spark(curve, `Loss of ${run.run}`),
      run.state === 'training' && progress(fraction(run), `Progress of ${run.run}`),
      h('div', { class: 'figures num' },
        h('span', {}, 'step ', h('b', {}, whole(run.step))),
        h('span', {}, 'loss ', h('b', {}, short(run.loss))),
        run.state === 'training'
          ? h('span', {}, h('b', {}, `${short(run.images_per_second && Math.round(run.images_per_second))} images/s`), run.left !== null && `, ${duration(run.left)} left`)
          : h('span', {}, ago(run.updated)))),
  ]
}

export function fraction(run) {
  const by = [run.step / run.steps, run.minutes ? run.seconds / (60 * run.minutes) : 0]
  return Math.max(...by.filter(Number.isFinite), 0)
}
