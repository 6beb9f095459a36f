/** Colours of the style sheet, for what is drawn on a canvas. */
const styles = getComputedStyle(document.documentElement)

/** `colour('quiet')` is what `var(--quiet)` is. */
export const colour = (name) => styles.getPropertyValue(`--${name}`).trim()

export const onThemeChange = (listener) =>
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', listener)
