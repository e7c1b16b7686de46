import { api, follow, post, upload } from '/static/api.js'
import { chart, COLOURS } from '/static/chart.js'
import { card, h, replace, toast } from '/static/dom.js'
import { picture } from '/static/tiles.js'

export async function show(main, signal) {
  const { schedules } = await api('/registries')
  if (signal.aborted) return
  const chosen = new Set(['linear-betas', 'cosine-betas', 'rectified-flow'])
  const stage = h('div', { class: 'strip' })
  const slider = h('input', { type: 'range', min: 0, max: 32, value: 12, 'aria-label': 'Time t' })
  const now = h('output', { class: 'num' })
  const alphas = chart({ label: 'alpha and sigma against t', x: 't / t max', height: 230 }), snr = chart({ label: 'log-SNR against t', x: 't / t max', height: 230 })
  let found = [], name = null, time = null
  const files = h('input', { type: 'file', accept: 'image/*', class: 'visually-hidden', tabIndex: -1, 'aria-label': 'A picture', onchange: () => files.files[0] && take(files.files[0]) })
  const ticks = h('fieldset', {}, h('legend', {}, 'Schedules, up to four'), schedules.map((entry) => h('label', { class: 'check', title: entry.about },
    h('input', { type: 'checkbox', checked: chosen.has(entry.kind), onchange: (event) => {
      if (event.target.checked && chosen.size >= 4) { event.target.checked = false; toast('Four schedules fit beside each other.'); return }
      if (event.target.checked) chosen.add(entry.kind)
      else chosen.delete(entry.kind)
      compute()
    } }), h('span', {}, entry.kind))))
  main.append(h('div', { class: 'split' },
    h('div', { class: 'card' }, h('p', { class: 'formula' }, 'x', h('sub', {}, 't'), ' = α', h('sub', {}, 't'), ' x', h('sub', {}, '0'), ' + σ', h('sub', {}, 't'), ' ε'),
      h('p', { class: 'muted small' }, 'The same noise ε in every picture. Where the variance grows, pictures are shown divided by √(α² + σ²). Computed by ', h('code', {}, 'unnoise.process.schedule'), '.'),
      ticks, h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => files.click() }, 'A picture of your own'), files)),
    h('div', { class: 'stack' }, card(null, stage, h('div', { class: 'scrub' }, h('span', {}, 'clean'), slider, h('span', {}, 'noise')), now),
      h('div', { class: 'two' }, card('α solid, σ dashed', alphas), card('log-SNR = log α² / σ²', snr)))))
  slider.addEventListener('input', draw)

  async function take(blob) {
    try { name = (await upload(blob)).picture; await compute() } catch (error) { toast(error.message) }
  }
  async function compute() {
    if (!name || !chosen.size) return
    const job = await follow((await post('/learn/forward', { picture: name, schedules: [...chosen].map((kind) => ({ kind })) })).id, {}, signal)
    if (job?.state !== 'done') return
    found = job.result.schedules
    const lines = (key, dash) => found.map((item, index) => ({ name: `${key === 'alpha' ? 'α' : key === 'sigma' ? 'σ' : ''} ${item.spec.kind}`.trim(), colour: COLOURS[index], dash, points: item.t.map((t, at) => [t, key === 'sigma' && item.spec.kind === 've' ? item[key][at] / 80 : item[key][at]]) }))
    alphas.set([...lines('alpha'), ...lines('sigma', '5 4')])
    snr.set(lines('log_snr'))
    draw()
  }
  function draw() {
    const at = Number(slider.value)
    now.textContent = `t = ${(at / 32).toFixed(2)} of t max`
    replace(stage, found.map((item, index) => h('figure', { style: { width: 'min(230px, 44%)' } }, h('img', { src: item.tiles[at], alt: `${item.spec.kind} at t ${(at / 32).toFixed(2)}` }),
      h('figcaption', {}, h('span', {}, h('span', { style: { color: COLOURS[index] } }, '● '), item.spec.kind)))))
  }
  await take(await landscape())
}

// Something to look at before a picture is chosen.
async function landscape() {
  const canvas = h('canvas', { width: 128, height: 128 }), pen = canvas.getContext('2d')
  const sky = pen.createLinearGradient(0, 0, 0, 90)
  sky.addColorStop(0, '#1f3f8f'); sky.addColorStop(0.6, '#f2a65a'); sky.addColorStop(1, '#f9dcb0')
  pen.fillStyle = sky
  pen.fillRect(0, 0, 128, 128)
  pen.fillStyle = '#fff3cf'
  pen.beginPath(); pen.arc(86, 54, 13, 0, 7); pen.fill()
  for (const [colour, base, rise, phase] of [['#7a5a86', 82, 14, 0.4], ['#4b4b78', 96, 12, 2.1], ['#1f2c4d', 110, 9, 4]]) {
    pen.fillStyle = colour
    pen.beginPath(); pen.moveTo(0, 128)
    for (let x = 0; x <= 128; x += 2) pen.lineTo(x, base - rise * Math.sin(x / 19 + phase) - rise * 0.4 * Math.sin(x / 7 + phase))
    pen.lineTo(128, 128); pen.fill()
  }
  return new Promise((resolve) => canvas.toBlob(resolve))
}
