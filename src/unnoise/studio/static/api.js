// The REST interface and its events.

export async function api(path, options = {}) {
  const response = await fetch(`/api${path}`, options)
  const text = await response.text()
  let content
  try { content = JSON.parse(text) } catch { content = { error: text || response.statusText } }
  if (!response.ok) throw new Error(content.error ?? `status ${response.status}`)
  return content
}

export const post = (path, body) => api(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) })
export const runPath = (run) => `/runs/${run.split('/').map(encodeURIComponent).join('/')}`

// Follows a job: handlers.state, .frame, .step, ... ; resolves with its last state. `signal` stops watching.
export function follow(job, handlers = {}, signal) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`/api/jobs/${job}/events`)
    let last = null
    const names = ['state', 'step', 'frame', 'image', 'moment', 'end']
    const finish = (then, value) => { source.close(); then(value) }
    signal?.addEventListener('abort', () => finish(resolve, last), { once: true })
    for (const name of names) {
      source.addEventListener(name, (event) => {
        const content = JSON.parse(event.data)
        if (name === 'state') last = content
        if (name === 'end') {
          if (last?.state === 'failed') finish(reject, new Error(last.error))
          else finish(resolve, last)
        } else handlers[name]?.(content)
      })
    }
    source.onerror = () => finish(reject, new Error('the studio cannot be reached; is it still running?'))
  })
}

// Everything that changes, for all pages: 'runs' and 'jobs'. One connection for the whole tab.
export const news = new EventTarget()
export const state = { jobs: [] }
let watching = null

export function watchAll() {
  watching ??= new EventSource('/api/events')
  watching.addEventListener('jobs', (event) => {
    state.jobs = JSON.parse(event.data).jobs
    news.dispatchEvent(new CustomEvent('jobs'))
  })
  watching.addEventListener('runs', (event) => {
    news.dispatchEvent(new CustomEvent('runs', { detail: JSON.parse(event.data).runs }))
  })
  watching.onopen = () => news.dispatchEvent(new CustomEvent('reached', { detail: true }))
  watching.onerror = () => news.dispatchEvent(new CustomEvent('reached', { detail: false }))
}

// What a command printed; null while the studio cannot be reached, which the corner of the page says.
export async function logOf(job) {
  const response = await fetch(`/api/jobs/${job}/log`).catch(() => null)
  return response?.ok ? response.text() : null
}

export async function upload(file, query = {}) {
  return api(`/pictures?${new URLSearchParams(query)}`, { method: 'POST', body: file })
}
