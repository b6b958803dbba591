/* Names of attributes and of some of their values. Whatever is not here is shown as the catalogue has it. */
import { lang, t } from './text.js';

const attributes = {
  allergens: '알레르기 성분', animal: '반려동물', assembly: '조립', author: '저자', care: '세탁 방법', collection_year: '출시 연도', color: '색상',
  cruelty_free: '동물실험 안 함', delivery_days: '배송 기간(일)', dishwasher_safe: '식기세척기 사용', ean: '바코드', energy_grade: '에너지 등급',
  gift_box: '선물 포장', install: '설치', kc_certified: 'KC 인증', keep: '보관 방법', level: '난이도', material: '소재', model: '모델명',
  origin: '원산지', release_year: '출시 연도', season: '계절', shelf_days: '소비기한(일)', shelf_months: '소비기한(개월)', size: '사이즈',
  size_mm: '사이즈(mm)', storage: '저장 용량', warranty_months: '보증 기간(개월)', opened_months: '개봉 후(개월)', age_from: '사용 연령',
  age_months_from: '사용 월령', isbn: 'ISBN', fit: '핏', pattern: '무늬', thickness: '두께', stretch: '신축성', shade: '색상', flavor: '맛',
  weight_kg: '무게(kg)', weight_g: '무게(g)', ram_gb: '메모리(GB)', cpu: '프로세서', gpu: '그래픽', screen_inch: '화면(인치)', resolution: '해상도',
  refresh_hz: '주사율(Hz)', battery_wh: '배터리(Wh)', ports: '포트', connection: '연결 방식', fingerprint: '지문 인식', panel: '패널',
  brightness_nits: '밝기(니트)', color_family: '색상 계열', sleeve: '소매', closure: '여밈', neck: '넥라인', volume_ml: '용량(ml)', pages: '쪽수', length: '기장', length_cm: '길이(cm)',
  width_cm: '너비(cm)', height_cm: '높이(cm)', depth_cm: '깊이(cm)', pockets: '주머니', lining: '안감', waist: '허리', sheer: '비침', buttons: '단추',
  neckline: '넥라인', shape: '모양', gender: '성별', watt: '소비전력(W)', noise_db: '소음(dB)', capacity_l: '용량(L)', pack_count: '묶음 수', pieces: '구성 수',
};
const values = {
  black: '검정', white: '흰색', gray: '회색', grey: '회색', beige: '베이지', navy: '네이비', blue: '파랑', red: '빨강', green: '초록', brown: '갈색',
  pink: '분홍', khaki: '카키', ivory: '아이보리', yellow: '노랑', purple: '보라', orange: '주황', silver: '실버', gold: '골드', mint: '민트',
  charcoal: '차콜', lavender: '라벤더', burgundy: '버건디', cream: '크림', camel: '카멜', 'sky blue': '하늘색', wine: '와인',
  cotton: '면', polyester: '폴리에스터', spandex: '스판덱스', nylon: '나일론', wool: '울', linen: '리넨', leather: '가죽', silk: '실크',
  rayon: '레이온', cashmere: '캐시미어', denim: '데님', acrylic: '아크릴', wood: '원목', steel: '스틸', 'stainless steel': '스테인리스',
  Korea: '한국', China: '중국', Vietnam: '베트남', Japan: '일본', Germany: '독일', Italy: '이탈리아', France: '프랑스', USA: '미국',
  Taiwan: '대만', Poland: '폴란드', Thailand: '태국', Indonesia: '인도네시아', Spain: '스페인', Bangladesh: '방글라데시', Mexico: '멕시코',
  winter: '겨울', summer: '여름', 'spring/autumn': '봄·가을', 'all season': '사계절', 'machine wash': '세탁기', 'hand wash': '손세탁',
  'dry clean': '드라이클리닝', refrigerated: '냉장', frozen: '냉동', 'room temperature': '실온', none: '없음', milk: '우유', wheat: '밀',
  soy: '대두', egg: '달걀', peanut: '땅콩', beginner: '입문', intermediate: '중급', advanced: '고급', required: '직접 조립', included: '조립 포함',
  self: '직접', shop: '매장', cat: '고양이', dog: '강아지', fish: '물고기', portable: '휴대용', slim: '슬림', regular: '레귤러', loose: '루즈',
  plain: '무지', stripe: '줄무늬', check: '체크', graphic: '그래픽', thin: '얇음', medium: '보통', thick: '두꺼움',
};
/* For the dots beside colours. */
const colours = {
  black: '#1b1b1d', white: '#ffffff', gray: '#9a9da3', grey: '#9a9da3', beige: '#e3d3b8', navy: '#1f2c54', blue: '#2f62d9', red: '#d43a3a',
  green: '#3b8f4d', brown: '#7a5236', pink: '#f0a3bb', khaki: '#8a8455', ivory: '#f6f0dd', yellow: '#f0cf3c', purple: '#7d52c4',
  orange: '#ee8a2e', silver: '#c7cbd1', gold: '#cfae62', mint: '#a5dcc8', charcoal: '#46484d', lavender: '#c3b2e8', burgundy: '#6d1f33',
  cream: '#f5ead0', camel: '#c39a64', 'sky blue': '#9cc9f0', wine: '#6b2237', cherry: '#b3273f', coral: '#f27f6b', peach: '#f8bd9c',
};

const units = { kg: 'kg', hz: 'Hz' };
const words = (name) => name.replace(/_/g, ' ').replace(/\b(ean|isbn|gtin|upc|mpn|sku|cpu|gpu|ram|ssd|usb|hdmi|nfc|kc|os|gb|kg|mp|hz)\b/g, (word) => units[word] ?? word.toUpperCase());
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/* "laptop_ram_gb" is what a category calls its ram_gb: the longest known end of the name counts. */
export function attributeLabel(name) {
  if (lang === 'ko') {
    const parts = name.split('_');
    for (let i = 0; i < parts.length; i++) {
      const known = attributes[parts.slice(i).join('_')];
      if (known) return known;
    }
  }
  return capital(words(name));
}

export function valueLabel(value) {
  if (value === 'true') return t('yes');
  if (value === 'false') return t('no');
  return (lang === 'ko' && Object.hasOwn(values, value) && values[value]) || value;
}

export function colourOf(attribute, value) {
  return /(^|_)colou?r$/.test(attribute) && Object.hasOwn(colours, value) ? colours[value] : null;
}
