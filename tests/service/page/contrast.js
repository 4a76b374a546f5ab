// The visible texts of a page whose contrast is below WCAG's AA: [text, ratio].
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((one, at) => one * a + under[at] * (1 - a));
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, ground(element.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((one) => {
      const part = one / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (element, colour) => {
    const under = ground(element);
    const [one, other] = [light(over(rgba(colour), under)), light(under)];
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
  const found = [];
  const check = (text, element, pseudo) => {
    const style = getComputedStyle(element, pseudo);
    const large = parseFloat(style.fontSize) >= 24;
    const seen = ratio(element, style.color);
    if (seen < (large ? 3 : 4.5)) found.push([text.trim().slice(0, 40), Number(seen.toFixed(2))]);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let checked = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    check(texts.currentNode.data, element);
    checked += 1;
  }
  for (const field of document.querySelectorAll("input:not([type=range], [type=checkbox]), textarea")) {
    if (!field.checkVisibility()) continue;
    if (field.placeholder) check(field.placeholder, field, "::placeholder");
    check(field.value, field);
  }
  return { checked, found };
})();
