CREATE SEQUENCE types.untouched;
CREATE SEQUENCE types.advanced AS smallint START 5 INCREMENT 3 MINVALUE -10 MAXVALUE 1000 CACHE 10 CYCLE;
CREATE SEQUENCE types.falling INCREMENT -1 START -1;
CREATE SEQUENCE types.exhausted MAXVALUE 2;
CREATE SEQUENCE "Odd ""Schema"" / ünï – 表"."Seq""uence" START 42;
CREATE SEQUENCE types.owned OWNED BY types.lists.id;
CREATE TABLE types.many_numbers (small smallserial, big bigserial, shared bigint DEFAULT nextval('types.advanced'), PRIMARY KEY (small));
COMMENT ON SEQUENCE types.advanced IS 'by threes';
SELECT count(nextval('types.advanced')) FROM generate_series(1, 9) \g /dev/null
SELECT nextval('types.falling'), nextval('types.falling'), nextval('types.exhausted'), nextval('types.exhausted') \g /dev/null
SELECT setval('"Odd ""Schema"" / ünï – 表"."Seq""uence"', 9223372036854775807, false), setval('types.owned', 77) \g /dev/null
INSERT INTO types.many_numbers SELECT FROM generate_series(1, 5);
