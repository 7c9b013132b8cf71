/** A colour for each person. */

import t from 'tap'
import { Colours, PALETTE } from '../../../src/cli/colours.ts'

const uuid = (number: number) => number.toString(16).padStart(8, '0').padEnd(32, '0')
const colourOf = (colours: Colours, number: number) =>
  /38;5;(\d+)m/.exec(colours.paint(uuid(number), 'x'))?.[1]

t.test('a uuid has the same colour at every time, another than all who are there', async (t) => {
  const colours = new Colours(8)
  const all = PALETTE.map((_, index) => colourOf(colours, index * PALETTE.length))
  t.equal(new Set(all).size, PALETTE.length)
  t.equal(colourOf(colours, 0), all[0])
  t.ok(colourOf(colours, 1_000), 'when there are not enough, some have the same')
  colours.release(uuid(0))
  t.equal(colourOf(new Colours(8), 0), all[0])
})

t.test('few colours or none are fine', async (t) => {
  t.equal(new Colours(4).paint(uuid(1), 'ada'), '\x1b[32mada\x1b[39m')
  t.equal(new Colours(1).paint(uuid(1), 'ada'), 'ada')
})

t.test('each can be read on black and on white', async (t) => {
  const levels = [0, 95, 135, 175, 215, 255]
  const linear = (value: number) =>
    value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4
  for (const colour of PALETTE) {
    const cube = colour - 16
    const [red = 0, green = 0, blue = 0] = [36, 6, 1].map((unit) =>
      linear(levels[Math.floor(cube / unit) % 6] ?? 0),
    )
    const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    t.ok((luminance + 0.05) / 0.05 >= 3.3, `${colour} on black`)
    t.ok(1.05 / (luminance + 0.05) >= 3.3, `${colour} on white`)
  }
})
