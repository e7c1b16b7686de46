// Building pages from values: text is only ever text, so nothing that a file says becomes HTML.

const SVG = 'http://www.w3.org/2000/svg'

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name === 'dataset') Object.assign(element.dataset, value)
    else if (name === 'style') Object.assign(element.style, value)
    else if (name in element && !name.startsWith('aria') && element.namespaceURI !== SVG && name !== 'list') element[name] = value
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== false))
  return element
}

export const h = (tag, props, ...children) => fill(document.createElement(tag), renamed(props), children)
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children)

function renamed(props) {
  if (!props || !('class' in props)) return props
  const { class: className, ...rest } = props
  return { className, ...rest }
}

export const replace = (element, ...children) => element.replaceChildren(...children.flat(4).filter((child) => child || child === 0))

export function card(title, ...children) {
  return h('section', { class: 'card' }, title && h('header', {}, typeof title === 'string' ? h('h2', {}, title) : title), ...children)
}

export function field(label, control, hint) {
  return h('label', { class: 'field' }, h('span', {}, label), control, hint && h('span', { class: 'hint' }, hint))
}

export function check(label, props) {
  return h('label', { class: 'check' }, h('input', { type: 'checkbox', ...props }), h('span', {}, label))
}

export function select(choices, value, props) {
  const options = choices.map((choice) => {
    const [name, label] = Array.isArray(choice) ? choice : [choice, choice]
    return h('option', { value: name, selected: name === value }, label)
  })
  return h('select', props, options)
}

export function segments(label, choices, value, pick) {
  const buttons = choices.map(([name, text]) =>
    h('button', { type: 'button', 'aria-pressed': String(name === value), onclick: () => choose(name) }, text))
  function choose(name) {
    buttons.forEach((button, index) => button.setAttribute('aria-pressed', String(choices[index][0] === name)))
    pick(name)
  }
  return h('div', { class: 'segments', role: 'group', 'aria-label': label }, buttons)
}

export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '').map(([name, value]) =>
    h('div', {}, h('dt', {}, name), h('dd', {}, value))))
}

export function table(headings, rows, label) {
  return h('div', { class: 'scroll', tabIndex: 0, role: 'region', 'aria-label': label },
    h('table', {}, h('thead', {}, h('tr', {}, headings.map((text) => h('th', { scope: 'col' }, text)))),
      h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell) => h('td', {}, cell)))))))
}

export function command(text) {
  const copy = h('button', { type: 'button', onclick: async () => {
    await navigator.clipboard.writeText(text)
    toast('Copied')
  } }, 'Copy')
  return h('div', { class: 'command' }, h('pre', { tabIndex: 0 }, text), copy)
}

export function pill(state) {
  return h('span', { class: `pill ${state}` }, state)
}

export function progress(fraction, label) {
  const bar = h('i')
  const element = h('div', { class: 'progress', role: 'progressbar', 'aria-label': label, 'aria-valuemin': '0', 'aria-valuemax': '100' }, bar)
  element.set = (value) => {
    const percent = Math.round(100 * Math.max(0, Math.min(1, value)))
    bar.style.width = `${percent}%`
    element.setAttribute('aria-valuenow', percent)
  }
  element.set(fraction)
  return element
}

export function head(title, text, ...actions) {
  document.title = `${typeof title === 'string' ? title : title.textContent} · unnoise studio`
  return h('div', { class: 'head' }, h('div', {}, h('h1', {}, title), text && h('p', { class: 'muted' }, text)),
    actions.length > 0 && h('div', { class: 'actions' }, actions))
}

export function toast(text) {
  const box = document.getElementById('toasts')
  const element = h('div', { class: 'toast' }, text)
  box.append(element)
  setTimeout(() => element.remove(), 6000)
}

export const whole = (value) => value === null || value === undefined ? '–' : Number(value).toLocaleString('en')

export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (typeof value !== 'number') return String(value)
  if (value === 0 || Number.isInteger(value)) return value.toLocaleString('en')
  const size = Math.abs(value)
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1) : value.toPrecision(size >= 100 ? 4 : 3)
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–'
  const total = Math.max(0, Math.round(seconds))
  const [minutes, hours, days] = [Math.floor(total / 60), Math.floor(total / 3600), Math.floor(total / 86400)]
  if (total < 60) return `${total} s`
  if (hours < 1) return `${minutes} min ${String(total % 60).padStart(2, '0')} s`
  return days < 1 ? `${hours} h ${String(minutes % 60).padStart(2, '0')} min` : `${days} d ${hours % 24} h`
}

export function ago(time) {
  const seconds = Date.now() / 1000 - time
  return seconds < 60 ? 'just now' : `${duration(seconds).replace(/ \d+ (s|min)$/, '')} ago`
}
