import { h, head, replace, segments } from '/static/dom.js'

const TOPICS = [['forward', 'Noise'], ['flow', 'Score and samplers'], ['collapse', 'A GAN that collapses'], ['plane', 'A plane of latents']]

export async function show(main, query, signal) {
  const body = h('div', { class: 'stack' })
  let leaving = new AbortController()
  async function topic(name) {
    leaving.abort()
    leaving = new AbortController()
    signal.addEventListener('abort', () => leaving.abort(), { once: true })
    replace(body)
    const page = await import(`/static/pages/learn-${name}.js`)
    await page.show(body, leaving.signal)
  }
  main.append(head('Learn', 'What happens at every step, computed by the functions that training and sampling use.'), segments('Topic', TOPICS, 'forward', topic), body)
  await topic('forward')
}
