/** Shows a bar, and works for as long as it is let. */
import { progressBar } from '../../../src/cli/output.ts'

const bar = progressBar('Working')
let done = 0
setInterval(() => bar.update(done++ % 10, 10), 10)
