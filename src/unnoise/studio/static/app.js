// The frame of all pages: navigation, what the device does, and which module fills <main>.
import { api, news, state, watchAll } from '/static/api.js'
import { h, replace, s, toast } from '/static/dom.js'

const PAGES = {
  '/': ['Runs', 'runs', 'M4 5h6v6H4zM14 5h6v6h-6zM4 15h6v4H4zM14 15h6v4h-6z'],
  '/train': ['Train', 'train', 'M4 18c4 0 4-12 8-12 3 0 3 6 8 6M4 21h16'],
  '/sample': ['Sample', 'sample', 'M12 4v3M12 17v3M4 12h3M17 12h3M6.5 6.5l2 2M15.5 15.5l2 2M17.5 6.5l-2 2M8.5 15.5l-2 2M12 10a2 2 0 1 1 0 4 2 2 0 0 1 0-4'],
  '/edit': ['Edit', 'edit', 'M5 19l1-4L16 5l3 3L9 18zM14 7l3 3'],
  '/compare': ['Compare', 'compare', 'M6 20V10M12 20V4M18 20v-7'],
  '/learn': ['Learn', 'learn', 'M4 7l8-3 8 3-8 3zM8 9v5c2 2 6 2 8 0V9M20 7v6'],
}
const HIDDEN = { '/run': 'run' }
const main = document.getElementById('main')
let leaving = null

export function go(address) {
  history.pushState(null, '', address)
  show()
}

async function show() {
  leaving?.abort()
  leaving = new AbortController()
  const { signal } = leaving
  const name = PAGES[location.pathname]?.[1] ?? HIDDEN[location.pathname]
  for (const link of document.querySelectorAll('.side nav a')) {
    const current = link.pathname === location.pathname || (link.pathname === '/' && location.pathname === '/run')
    if (current) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  try {
    const page = await import(`/static/pages/${name}.js`)
    if (signal.aborted) return
    replace(main)
    await page.show(main, new URLSearchParams(location.search), signal)
  } catch (error) {
    if (!signal.aborted) replace(main, h('h1', {}, 'This page cannot be shown'), h('p', { class: 'note bad', role: 'alert' }, error.message))
  }
}

function frame() {
  const links = Object.entries(PAGES).map(([path, [title, , icon]]) => h('a', { href: path },
    s('svg', { viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', 'stroke-width': 1.8, 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true' }, s('path', { d: icon })), title))
  const device = h('div', { class: 'device' })
  replace(document.getElementById('side'),
    h('a', { class: 'brand', href: '/' }, h('img', { src: '/static/icon.svg', alt: '' }), 'unnoise'),
    h('nav', { 'aria-label': 'Pages' }, links),
    h('div', { class: 'foot' }, device))
  news.addEventListener('jobs', () => drawDevice(device))
  news.addEventListener('reached', (event) => { if (!event.detail) replace(device, h('b', {}, 'Studio not reachable'), h('span', { class: 'muted idle-text' }, 'Trying again …')) ; else drawDevice(device) })
  drawDevice(device)
}

function drawDevice(device) {
  const jobs = state.jobs.filter((job) => job.lane === 'device')
  const running = jobs.find((job) => job.state === 'running')
  const waiting = jobs.filter((job) => job.state === 'waiting').length
  if (!running) {
    replace(device, h('div', { class: 'row' }, h('b', {}, 'Device is free')), h('span', { class: 'muted idle-text' }, 'One job at a time; the rest wait.'))
    return
  }
  const stop = h('button', { type: 'button', 'aria-label': `Stop: ${running.title}`, onclick: async () => {
    await api(`/jobs/${running.id}`, { method: 'DELETE' }).catch((error) => toast(error.message))
    toast(running.kind === 'train' ? 'It finishes its step, saves and stops.' : 'Cancelled')
  } }, 'Stop')
  replace(device, h('div', { class: 'row' }, h('b', {}, running.title), stop),
    waiting > 0 && h('span', { class: 'muted' }, `${waiting} waiting`))
}

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]')
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || link.target || link.hasAttribute('download')) return
  const url = new URL(link.href)
  if (url.origin !== location.origin || !(url.pathname in PAGES || url.pathname in HIDDEN) || url.hash) return
  event.preventDefault()
  go(url.pathname + url.search)
  main.focus({ preventScroll: true })
  scrollTo(0, 0)
})
addEventListener('popstate', show)
addEventListener('unhandledrejection', (event) => toast(event.reason?.message ?? String(event.reason)))
frame()
watchAll()
show()
