// Forms made from the registries.
import { field, h, select } from '/static/dom.js'

// options: of a registry entry; values: what they begin with. The element's `values()` gives what differs from nothing.
export function optionFields(options, values = {}) {
  const controls = {}
  const element = h('div', { class: 'fields' }, options.map((option) => {
    const value = values[option.name] ?? option.default
    const control = controlFor(option, value)
    controls[option.name] = [option, control]
    return field(words(option.name), control)
  }))
  element.values = () => Object.fromEntries(Object.entries(controls)
    .map(([name, [option, control]]) => [name, read(option, control)]).filter(([, value]) => value !== null))
  return element
}

function controlFor(option, value) {
  if (option.type === 'choice') {
    const choices = option.choices.includes(value) || value === null ? option.choices : [value, ...option.choices]
    return select(choices, value)
  }
  if (option.type === 'boolean') return select([['true', 'yes'], ['false', 'no']], String(value))
  if (option.type === 'string') return h('input', { value: value ?? '' })
  return h('input', { type: 'number', step: option.type === 'integer' ? 1 : 'any', value: value ?? '' })
}

function read(option, control) {
  if (option.type === 'boolean') return control.value === 'true'
  if (option.type === 'choice' || option.type === 'string') return control.value
  return control.value === '' ? null : Number(control.value)
}

export const words = (name) => name.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase())

export function numberInput(props) {
  return h('input', { type: 'number', ...props })
}

// Runs to choose from, as a select; `wanted` first.
export function runSelect(runs, wanted, props) {
  return select(runs.map((run) => run.run), wanted ?? runs[0]?.run, props)
}
