import { api, follow, post } from '/static/api.js'
import { card, field, h, select, toast } from '/static/dom.js'
import { picture } from '/static/tiles.js'

export async function show(main, signal) {
  const { runs } = await api('/runs?limit=500')
  if (signal.aborted) return
  const able = runs.filter((run) => ['vae', 'gan'].includes(run.kind) && run.checkpoint !== null)
  if (!able.length) {
    main.append(h('div', { class: 'empty' }, h('h2', {}, 'This needs a VAE or a GAN'), h('p', {}, 'Their latents are few numbers: train one, and drag through two of them here.'), h('a', { class: 'button primary', href: '/train' }, 'Train one')))
    return
  }
  const run = select(able.map((item) => item.run), able[0].run), first = h('input', { type: 'number', min: 0, value: 0 }), second = h('input', { type: 'number', min: 0, value: 1 }), seed = h('input', { type: 'number', min: 0, value: 0 })
  const map = h('canvas', { class: 'plane pixels', tabIndex: 0, role: 'application', 'aria-label': 'Plane of latents: arrow keys or dragging move' }), one = h('canvas', { class: 'tiles pixels' })
  let image = null, side = 9, at = [4, 4]
  const go = h('button', { class: 'primary' }, 'Draw the plane')
  main.append(h('div', { class: 'split' }, h('form', { class: 'card', onsubmit: (event) => { event.preventDefault(); compute() } },
    h('p', { class: 'formula' }, 'x = decode(z)'), h('p', { class: 'muted small' }, 'Two of the numbers of z go from −2.5 to 2.5; the others are those of the seed.'),
    field('Run', run), h('div', { class: 'fields' }, field('Number across', first), field('Number upwards', second), field('Seed', seed)), h('div', { class: 'actions' }, go)),
  h('div', { class: 'two' }, card('The plane', map), card('Here', one))))
  function draw() {
    if (!image) return
    const tile = [image.naturalWidth / side, image.naturalHeight / side], pen = map.getContext('2d')
    map.width = image.naturalWidth * 2; map.height = image.naturalHeight * 2
    pen.imageSmoothingEnabled = false
    pen.drawImage(image, 0, 0, map.width, map.height)
    pen.strokeStyle = '#e23b70'; pen.lineWidth = 3
    pen.strokeRect(at[0] * tile[0] * 2 + 1, at[1] * tile[1] * 2 + 1, tile[0] * 2 - 2, tile[1] * 2 - 2)
    one.width = tile[0]; one.height = tile[1]
    one.getContext('2d').drawImage(image, at[0] * tile[0], at[1] * tile[1], tile[0], tile[1], 0, 0, tile[0], tile[1])
  }
  function to(x, y) { at = [Math.min(side - 1, Math.max(0, x)), Math.min(side - 1, Math.max(0, y))]; draw() }
  map.addEventListener('pointermove', (event) => { if (event.buttons) { const box = map.getBoundingClientRect(); to(Math.floor((event.clientX - box.left) / box.width * side), Math.floor((event.clientY - box.top) / box.height * side)) } })
  map.addEventListener('pointerdown', (event) => { map.setPointerCapture(event.pointerId); const box = map.getBoundingClientRect(); to(Math.floor((event.clientX - box.left) / box.width * side), Math.floor((event.clientY - box.top) / box.height * side)) })
  map.addEventListener('keydown', (event) => { const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]; if (move) { event.preventDefault(); to(at[0] + move[0], at[1] + move[1]) } })
  async function compute() {
    go.disabled = true
    try {
      const job = await follow((await post('/plane', { run: run.value, first: Number(first.value), second: Number(second.value), seed: Number(seed.value) })).id, {}, signal)
      if (job?.state === 'done') { image = await picture(job.result.tiles); side = job.result.side; draw() }
    } catch (error) { toast(error.message) }
    go.disabled = false
  }
  await compute()
}
