export { ALERTS, type Alert } from './alerts.js';
export { grafanaFiles } from './files.js';
export { BOARDS, type Board, type Panel, type Query } from './panels.js';
